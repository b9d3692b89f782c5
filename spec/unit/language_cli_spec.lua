-- check, explain, plan and help as a person meets them: output, streams and exit codes of the built program.
local language = require "spec.support.language"
local json = require "moonbox.json"

local function built()
  local handle = io.open("build/moonbox", "rb")
  if handle then handle:close() end
  return handle ~= nil
end

-- Runs moonbox; returns its exit code, standard output and standard error.
local function moonbox(arguments)
  local errors = os.tmpname()
  local pipe = io.popen("build/moonbox " .. arguments .. " 2>" .. errors .. '; echo "code $?"')
  local out = pipe:read("*a")
  pipe:close()
  local handle = io.open(errors)
  local err = handle:read("*a")
  handle:close()
  os.remove(errors)
  local text, code = out:match("^(.*)code (%d+)\n$")
  return tonumber(code), text, err
end

describe("the program", function()
  if not built() then
    return it("needs build/moonbox", function() pending("build/moonbox is not built") end)
  end
  after_each(language.clean)

  it("checks files: silent and 0 when all is right", function()
    local code, out, err = moonbox("check policies/*.lua policies/*/*.lua codex")
    assert.same({ 0, "", "" }, { code, out, err })
  end)

  it("checks files: every mistake of every file on standard error, and 65", function()
    local one = language.file('return policy "x" {\n limits = { cpu = 1 } }')
    local two = language.file('return pipeline "x" {\n step "a" {} }')
    local code, out, err = moonbox("check " .. one .. " policies/base.lua " .. two)
    assert.equal(65, code)
    assert.equal("", out)
    assert.equal(one .. ":2: unknown key `cpu` in `limits`; did you mean `cpus`?\n"
      .. two .. ':2: step "a" does nothing; give it `run` or `do`\n', err)
    local again, text = moonbox("check --json " .. one)
    assert.equal(65, again)
    assert.same({ { file = one, line = 2, text = "unknown key `cpu` in `limits`; did you mean `cpus`?" } },
      json.decode(text))
  end)

  it("checks files: one that nobody writes to is not waited for", function()
    local path = os.tmpname()
    os.remove(path)
    assert.equal(0, os.execute("mkfifo " .. path .. ".lua"))
    local code, out, err = moonbox("check " .. path .. ".lua")
    os.remove(path .. ".lua")
    assert.same({ 65, "" }, { code, out })
    assert.truthy(err:find("still running after 2 s", 1, true), err)
  end)

  it("checks files: a pipeline is one, however its text says so", function()
    local body = 'pipeline "x" { policy = "offline", step "a" { run = { "true" } } }'
    for _, text in ipairs { "return " .. body, "return\n" .. body, "local p = " .. body .. "\nreturn p",
      "return (" .. body .. ")", '--[[\nreturn policy "x" {}\n]] return ' .. body,
      'local name = "x"\nreturn pipeline(name) { policy = "offline", step "a" { run = { "true" } } }' } do
      assert.same({ 0, "", "" }, { moonbox("check " .. language.file(text)) }, text)
    end
    local wrong = language.file('local p = pipeline "x" {}\nreturn p')
    assert.same({ 65, "", wrong .. ":1: the pipeline has no steps\n" }, { moonbox("check " .. wrong) })
  end)

  it("checks files: what they hold is no trouble for a reader of JSON", function()
    local path = language.file('return policy "x" { ["\\255\\27[31m"] = 1 }')
    local code, out = moonbox("check --json " .. path)
    assert.equal(65, code)
    assert.is_nil(out:find("[\255\27]"))
    assert.equal("unknown key `\239\191\189?[31m` in `policy`", json.decode(out)[1].text)
  end)

  it("tells the same mistakes in the same order every time", function()
    local path = language.file([[
return policy "x" { files = 1, limits = 2, process = 3, env = { A = 1, B = 2, C = 3, D = 4, E = 5, [1] = 6 } }]])
    local _, _, first = moonbox("check " .. path)
    for _ = 1, 5 do assert.equal(first, (select(3, moonbox("check " .. path)))) end
  end)

  it("says how a parameter is given, and reads no option as one", function()
    assert.same({ 64, "", "moonbox: unknown option --host; a policy's parameter is given as --host=VALUE\n" },
      { moonbox("explain base --host") })
    assert.same({ 64, "", "moonbox: unknown option --jsno; did you mean `--json`?\n" },
      { moonbox("explain base --jsno") })
  end)

  it("helps with -h where --help does, and leaves a command its own", function()
    local _, long = moonbox("check --help")
    assert.same({ 0, long, "" }, { moonbox("check -h") })
    local code, out = moonbox("check base -h")
    assert.same({ 64, "" }, { code, out })
  end)

  it("says how it is used, with 64", function()
    for _, arguments in ipairs { "check", "explain", "plan", "plan a b", "help nosuchword", "help a b",
      "check --what x",
      "explain --what codex" } do
      local code, out, err = moonbox(arguments)
      assert.equal(64, code, arguments)
      assert.equal("", out, arguments)
      assert.truthy(err:match("^moonbox: [^\n]+\n$"), arguments .. ": " .. err)
    end
  end)

  it("has no policy of an unknown name, with 65", function()
    local code, out, err = moonbox("plan codx")
    assert.same({ 65, "", "moonbox: there is no policy `codx`; did you mean `codex`?\n" }, { code, out, err })
    assert.equal(65, (moonbox("explain /nonexistent.lua")))
  end)

  it("prints a plan that is the plan", function()
    local code, out = moonbox("plan codex --json")
    assert.equal(0, code)
    local plan = assert(json.decode(out))
    assert.equal("codex", plan.policy)
    assert.equal(16 * 2 ^ 30, plan.limits.memory)
    assert.equal(out, (select(2, moonbox("plan codex"))))
    local from = 0
    for _, mount in ipairs(plan.mounts) do
      if mount.from then
        from = from + 1
        assert.truthy(mount.from:match("^policies/%a+%.lua:%d+$"))
      end
    end
    assert.is_true(from > 10)
  end)

  it("explains each row with the line that decided it", function()
    local code, out = moonbox("explain codex")
    assert.equal(0, code)
    local function line_of(path, text)
      local n = 0
      for line in io.lines(path) do
        n = n + 1
        if line:find(text, 1, true) then return path .. ":" .. n end
      end
    end
    for _, row in ipairs {
      { "memory ", line_of("policies/codex.lua", "memory = 16 * GB") },
      { "open_files ", line_of("policies/base.lua", "open_files") },
      { "ecosystem.npm ", line_of("policies/codex.lua", "ecosystem.npm") },
      { "/workspace ", line_of("policies/base.lua", "/workspace") },
      { "PATH ", line_of("policies/base.lua", "PATH = ") },
    } do
      local found = false
      for line in out:gmatch("[^\n]+") do
        if line:find(row[1], 1, true) and line:sub(-#row[2]) == row[2] then found = true end
      end
      assert.is_true(found, row[1] .. " should be decided at " .. row[2] .. "\n" .. out)
    end
    assert.is_nil(out:find("not built yet", 1, true))
  end)

  it("explains how hard each limit is held, as data too", function()
    local code, out = moonbox("explain offline --json")
    assert.equal(0, code)
    local data = assert(json.decode(out))
    local held = {}
    for _, row in ipairs(data.rows) do
      if row.section == "limits" then held[row.row] = row.held end
    end
    for _, name in ipairs { "cpus", "memory", "disk", "time", "processes", "open_files" } do
      assert.truthy(held[name]:match("^hard") or held[name]:match("^watched"), name)
    end
  end)

  it("lets no control character of its arguments reach the terminal, whatever it says of them", function()
    local second = language.file [[return policy "x" { needs = { v = text {} }, env = { V = "$v" } }]]
    for _, byte in ipairs { "\27[31m", "\194\155", "\7", "\r", "\127" } do
      local function quoted(text) return "'" .. text:gsub("@", byte) .. "'" end
      for _, line in ipairs { "@", "check a@.lua", "check --@", "plan a@.lua", "plan --@", "explain a@.lua", "explain --@",
        "explain a@", "why a@.lua b", "why offline a@b", "help a@", "run a@", "flows a@", "flows --host=a@ last", "create --@",
        "create --policy=a@.lua", "create --id=a@", "exec --@", "exec --policy=a@.lua x", "exec --bind=/a@ x", "exec --time=a@ x",
        "exec --env=a@ x", "exec a@ -- x", "cp a@:/b c", "network a@ set b", "logs a@", "logs a a@", "posture a@", "doctor --@",
        "version --@", "gc --@", "list --@" } do
        local command = (line:gsub("%S+", quoted))
        local code, out, err = moonbox(command)
        assert.is_nil((out .. err):gsub("\n", ""):gsub("\194[^\128-\159]", ""):find("[%c\127\194]"), command)
        assert.is_true(code > 0 or line:match("^version") ~= nil, line)
      end
      local _, out = moonbox("explain " .. second .. " '--v=a" .. byte .. "b'")
      assert.is_nil(out:gsub("\n", ""):find("[%c\127\194]"), out)
      _, out = moonbox("plan " .. second .. " '--v=a" .. byte .. "b'")
      assert.matches("V=a\\\\?[u\"r]?", out)
      assert.is_nil(out:gsub("\n", ""):find("[%c\127\194]"), out)
    end
  end)

  it("lets no control character of a policy reach the terminal", function()
    local path = language.file('return policy "x" { about = "a\\27[2Jb", env = { A = "\\27]0;x\\7" } }')
    local code, out = moonbox("explain " .. path)
    assert.equal(0, code)
    assert.is_nil(out:find("[%z\1-\9\11-\31\127]"))
    local _, _, err = moonbox("check " .. language.file('return policy "x" { ["\\27[2J"] = 1 }'))
    assert.is_nil(err:find("[%z\1-\9\11-\31\127]"))
  end)

  it("helps with every word", function()
    local code, out = moonbox("help")
    assert.equal(0, code)
    for _, word in ipairs { "check", "explain", "plan", "allow_internal", "read_write", "minutes" } do
      assert.truthy(out:find(word, 1, true), word)
    end
    for _, word in ipairs { "memory", "allow", "step", "GB", "ecosystem", "text", "do", "plan", "hold" } do
      local ok, text, err = moonbox("help " .. word)
      assert.equal(0, ok, word)
      assert.equal("", err)
      assert.truthy(text:find(word, 1, true), word)
    end
    local wrong, _, err = moonbox("help memmory")
    assert.equal(64, wrong)
    assert.truthy(err:find("did you mean `memory`?", 1, true))
  end)
end)
