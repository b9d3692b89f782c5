-- Pipeline files: from Lua to checked data.
local language = require "spec.support.language"
local pipeline_file = require "moonbox.pipeline_file"

describe("a pipeline file", function()
  after_each(language.clean)

  it("becomes the agreed data", function()
    local data = assert(language.pipeline([[
return pipeline "codex-task" {
  about  = "Clone, work, bring back.",
  policy = "codex",
  needs  = { repo = repository {}, ref = text { default = "HEAD", about = "What to check out." },
             depth = number { default = 1, min = 1, max = 9 },
             mode = choice { "fast", "slow", default = "fast" },
             agent = command { default = "codex exec" }, data = folder { at = "/data" } },
  step "clone" { run = { "git", "clone", "--depth=$depth", "$repo", "/workspace" },
                 network = { only { "github.com", ports = { 443 } } }, time = 5 * minutes, retry = 2 },
  step "agent" { run = { "$agent", "$$5" }, secrets = { "API_KEY" }, env = { REF = "x-$ref" },
  cwd = "/home/agent",
                 network = "none", limits = { memory = 1 * GB, processes = 5 } },
  step "verify" { do = function (box, given) return box, given end, allow_failure = true },
  gives = { patch "/workspace", "/home/agent/notes.md", patch { "/home/agent/x", since = "agent" } },
}]]))
    assert.equal("codex-task", data.name)
    assert.equal("codex", data.policy)
    local kinds = {}
    for i, need in ipairs(data.needs) do kinds[i] = need.name .. "=" .. need.kind end
    assert.same({ "repo=repository", "ref=text", "depth=number", "mode=choice", "agent=command",
      "data=folder" }, kinds)
    assert.equal("/source/repo", data.needs[1].at)
    assert.equal("HEAD", data.needs[2].default)
    assert.equal("What to check out.", data.needs[2].about)
    assert.same({ 1, 1, 9 }, { data.needs[3].default, data.needs[3].min, data.needs[3].max })
    assert.same({ "fast", "slow" }, { unpack(data.needs[4].choices) })
    assert.equal("/data", data.needs[6].at)
    local clone, agent, verify = unpack(data.steps)
    assert.equal("--depth=$depth", clone.run[3])
    assert.same({ 300, 2, 8 }, { clone.time, clone.retry, clone.line })
    assert.equal("github.com", clone.network[1].names[1].name)
    assert.same({ 443 }, { unpack(clone.network[1].ports) })
    assert.equal("none", agent.network)
    assert.same({ "API_KEY" }, { unpack(agent.secrets) })
    assert.equal("x-$ref", agent.env.REF)
    assert.equal("/home/agent", agent.cwd)
    assert.equal(2 ^ 30, agent.limits.memory)
    assert.is_nil(clone.body)
    assert.is_nil(clone.has_body)
    assert.is_true(verify.allow_failure)
    assert.same({ 1, 2 }, { verify.body(1, 2) })
    assert.same({ "patch", "file", "patch" }, { data.gives[1].kind, data.gives[2].kind, data.gives[3].kind })
    assert.equal("agent", data.gives[3].since)
    assert.equal("/home/agent/notes.md", data.gives[2].path)
  end)

  it("runs under base when it names no policy", function()
    assert.equal("base",
      assert(language.pipeline('return pipeline "x" { step "a" { run = { "true" } } }')).policy)
  end)

  it("can be judged under another policy", function()
    local path = language.file(
      'return pipeline "x" { policy = "codex", step "a" { run = { "true" }, time = 1 * hours } }')
    assert.equal("codex", assert(pipeline_file.load(path)).policy)
    local data, diagnostics = pipeline_file.load(path, { policy = "offline" })
    assert.is_nil(data)
    assert.truthy(diagnostics[1].text:find("more than the 10 minutes of policies/offline.lua:", 1, true))
  end)

  it("finds a policy beside itself by a path", function()
    local own = language.file('return policy "own" { network = { allow { "*.example.org" } } }')
    local data = assert(language.pipeline(('return pipeline "x" { policy = "./%s",\n'
      .. 'step "a" { run = { "true" }, network = { only { "a.example.org" } } } }')
        :format(own:match("[^/]+$"))))
    assert.truthy(data.policy:match("^/tmp/%./[^/]+$"))
    assert.is_table(require("moonbox.policy").load(data.policy))
  end)

  it("tells its own and its policy's mistakes together", function()
    local own = language.file('return policy "own" {\n  limits = { cpu = 1 } }')
    local path = language.file(('return pipeline "x" { policy = "%s",\n  step "a" {} }'):format(own))
    local _, diagnostics = pipeline_file.load(path)
    assert.equal(2, #diagnostics)
    assert.same({ path, own }, { diagnostics[1].file, diagnostics[2].file })
  end)

  it("has functions that see only the words of the file", function()
    local data = assert(language.pipeline([[
return pipeline "x" {
  step "a" { ["do"] = function (box, given)
    local seen = {}
    for i = 1, 3 do seen[i] = given.name:rep(i) end
    return table.concat(seen, ","), ("x").dump, tostring({})
  end },
}]]))
    local text, dump, shown = data.steps[1].body(nil, { name = "ab" })
    assert.equal("ab,abab,ababab", text)
    assert.is_nil(dump)
    assert.equal("table", shown)
  end)

  local wrong = {
    ['needs = { policy = text {} }, step "a" { run = { "x" } }'] =
      "`policy` is an option of moonbox run itself",
    ['needs = { ["a-b"] = text {} }, step "a" { run = { "x" } }'] = '"a-b" is no name of a parameter',
    ['needs = { a = "x" }, step "a" { run = { "x" } }'] = "the parameter `a` takes a type such as text {}",
    ['needs = { text {} }, step "a" { run = { "x" } }'] = "a parameter needs a name",
    ['needs = { n = number { default = 9, max = 3 } }, step "a" { run = { "x" } }'] =
      "outside of `min` and `max`",
    ['needs = { n = number { default = 0/0 } }, step "a" { run = { "x" } }'] = "finite",
    ['needs = { c = choice {} }, step "a" { run = { "x" } }'] = "lists no words",
    ['needs = { c = command { default = " " } }, step "a" { run = { "x" } }'] = "empty command",
    ['needs = { a = folder { at = "/x" }, b = folder { at = "/x" } }, step "a" { run = { "x" } }'] =
      "is shown already",
    ['needs = { a = folder { at = "/proc/x" } }, step "a" { run = { "x" } }'] = "is in /proc",
    ['step "a" { run = {} }'] = "`run` is empty", ['step "a" { run = { "" } }'] = "names no program",
    ['step "a" { run = { "x", 4 } }'] = "list of arguments, not the number 4",
    ['step "a" { run = { "x\\0y" } }'] = "NUL byte", ['step "a" { run = { "$" } }'] = "names nothing",
    ['step "a" { run = { "x" }, env = { A = "$b" } }'] = "there is no parameter `$b`",
    ['step "a" { run = { "x" }, network = "open" }'] = 'is "none" or { only',
    ['step "a" { run = { "x" }, network = { otherwise = "allow" } }'] = "a step only narrows",
    ['step "a" { run = { "x" }, network = { "github.com" } }'] = "a step only narrows",
    ['step "a" { run = { "x" }, network = { only { "internal" } } }'] = "is internal",
    ['policy = "codex", step "a" { run = { "x" }, network = { only { "10.0.0.1" } } }'] = "does not allow it",
    ['policy = "codex", step "a" { run = { "x" }, network = { only { "github.com", ports = { 443, 8080 } } } }'] =
      "on other ports only",
    ['step "a" { run = { "x" }, limits = { hold = "any" } }'] = "`hold` is the policy's",
    ['step "a" { run = { "x" }, limits = { memory = 1 * TB } }'] =
      "asks for memory = 1 TB, more than the 512 MB of policies/base",
    ['step "a" { run = { "x" }, retry = 1.5 }'] = "whole number",
    ['step "a" { run = { "x" }, cwd = "x" }'] = "not absolute",
    ['step "a" { run = { "x" }, secrets = { "A B" } }'] = "no name of an environment variable",
    ['step "a" { run = { "x" } }, step "a" { run = { "x" } }'] = "already, on line 1",
    ['step { run = { "x" } }'] = "is given a name first",
    ['gives = { patch "x" }, step "a" { run = { "x" } }'] = "not absolute",
    ['gives = { patch {} }, step "a" { run = { "x" } }'] = "takes one path",
    ['gives = { "/" }, step "a" { run = { "x" } }'] = "is no file",
    ['gives = 4, step "a" { run = { "x" } }'] = "takes patches and paths",
    ['policy = "codx", step "a" { run = { "x" } }'] = "did you mean `codex`?",
    ['policy = "codex", step "a" { run = { "x" }, network = { only { "*.example.org" } } }'] =
      'wants to reach "*.example.org"',
  }
  for body, sentence in pairs(wrong) do
    it("is refused: " .. body, function()
      local data, told = language.pipeline('return pipeline "x" { ' .. body .. " }")
      assert.is_nil(data)
      assert.truthy(told:find(sentence, 1, true), told)
    end)
  end

  it("has functions whose mistakes are told with their place when they run", function()
    local data = assert(language.pipeline([[
return pipeline "x" {
  step "word"  { do = function() return nope end },
  step "loop"  { do = function() for _ in io.lines("x") do end end },
  step "own"   { do = function() error("no such luck") end },
  step "table" { do = function() error({}) end },
}]]))
    local told = {}
    for i, step in ipairs(data.steps) do
      local called, raised = pcall(step.body)
      assert.is_false(called)
      told[i] = step.named(raised):gsub("^.*/", "")
    end
    local name = data.file:match("[^/]+$")
    assert.same({ name .. ":2: unknown word `nope`",
      name .. ":3: `io` is not there in pipeline files: they describe, and reach nothing outside",
      name .. ":4: no such luck", "raised a table; error is given a sentence" }, told)
  end)

  it("is Lua", function()
    local data, told = require("moonbox.pipeline_file").load("nowhere.yaml")
    assert.is_nil(data)
    assert.equal("is YAML; a pipeline is written in Lua", told[1].text)
  end)

  it("is refused when it is no regular file", function()
    for _, path in ipairs { "/nonexistent.lua", "/dev/null", "/tmp" } do
      local data, diagnostics = pipeline_file.load(path)
      assert.is_nil(data)
      assert.truthy(diagnostics[1].text:match("^can't be read"), path .. diagnostics[1].text)
    end
  end)
end)
