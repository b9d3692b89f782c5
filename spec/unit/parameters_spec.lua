-- Parameters of policies: declared, given as texts, whole inside one text of the file, and judged where they stand.
local language = require "spec.support.language"
local policy = require "moonbox.policy"

local HEAD = 'return policy "p" { extends = "base",\n'

-- Data of a policy with these lines, given `parameters`; or nil, what is told, the exit code.
local function load(text, parameters, options)
  options = options or {}
  options.parameters = parameters
  local data, diagnostics = policy.load(language.file(HEAD .. text .. "\n}"), options)
  local _, told = language.told(data, diagnostics)
  return data, told, diagnostics and policy.code(diagnostics)
end

local function refused(expected, code, text, parameters, options)
  local data, told, found = load(text, parameters, options)
  assert.is_nil(data)
  assert.same({ expected, code }, { told, found })
end

describe("a policy's parameters", function()
  after_each(language.clean)

  local all = [[
needs = { host = text { about = "whom to reach" }, mode = choice { "fast", "slow", default = "fast" },
  n = number { default = 2, min = 1, max = 8 }, memory = size { default = 64 * MB }, wait = time { default = 1 * minute },
  port = number { default = 443 }, dir = text { default = "/srv" } },
files = { read_only { "$dir", optional = true }, scratch { "/data", size = "$memory" },
  file { "/etc/motd", text = "$mode ${n}x $$5" } },
network = { allow { "$host", ports = { 22, "$port" } }, publish { "$port" } },
limits = { cpus = "$n", memory = "$memory", time = "$wait" }, env = { N = "$n", MEMORY = "$memory" },]]

  it("stand for their values in texts, paths, names, numbers, sizes, times and ports", function()
    local data = assert(load(all, { host = "A.org", memory = "1GB", n = "3", wait = "2h", port = "8080", dir = "/opt" }))
    assert.same({ 3, 2 ^ 30, 7200 }, { data.limits.cpus, data.limits.memory, data.limits.time })
    assert.same({ N = "3", MEMORY = "1GB" }, { N = data.env.N, MEMORY = data.env.MEMORY })
    assert.same({ "a.org", 22, 8080 },
      { data.network.rows[1].names[1].name, data.network.rows[1].ports[1], data.network.rows[1].ports[2] })
    assert.same({ 8080 }, data.network.rows[2].ports)
    local rows = data.files.rows
    assert.same({ "/opt", 2 ^ 30, "fast 3x $5" }, { rows[#rows - 2].paths[1], rows[#rows - 1].size, rows[#rows].text })
    assert.same({ name = "dir", value = "/opt" }, { name = data.parameters[1].name, value = data.parameters[1].value })
    assert.matches(":4$", data.parameters[1].from)
  end)

  it("have the values of their defaults when they are not given", function()
    local data = assert(load(all, { host = "a.org" }))
    assert.same({ 2, 64 * 2 ^ 20, 60, "64 MB" },
      { data.limits.cpus, data.limits.memory, data.limits.time, data.env.MEMORY })
  end)

  it("that are missing, unknown or wrong are told with their line, all at once, as wrong usage", function()
    refused('2: the policy "p" has no parameter --hots; did you mean --host?\n2: --host=… is missing: whom to reach\n'
      .. "2: --mode is one of fast, slow, not fats; did you mean `fast`?\n3: --n is at most 8, not 9\n"
      .. "3: --memory takes a size such as 4GB, not 5m\n3: --wait takes a time such as 5m, not soon", 64, all,
      { hots = "x", mode = "fats", n = "9", memory = "5m", wait = "soon" })
    refused('1: the policy "p" has no parameter --polcy; did you mean --policy?', 64, "", { polcy = "x" }, { own = { "policy" } })
  end)

  it("are judged at the line where they stand, and stay one text whatever is in them", function()
    local rows = 'needs = { x = text {} },\nnetwork = { allow { "$x" } },'
    refused('3: "a.org, b.org" has a space or control character', 65, rows, { x = "a.org, b.org" })
    refused([[3: "a" }, allow { "*" has a space or control character]], 65, rows, { x = 'a" }, allow { "*' })
    refused("3: \"10.0.0.1\" is internal; only allow_internal { …, why = … } opens it", 65, rows, { x = "10.0.0.1" })
    assert.equal("; os.exit(1) $x $y ${z} $", load('needs = { x = text {} }, env = { A = "$x" },',
      { x = "; os.exit(1) $x $y ${z} $" }).env.A)
    refused("2: `memory` takes a size such as 4 * GB, not the text \"4GB\"", 65,
      'needs = { x = text {} }, limits = { memory = "$x" },', { x = "4GB" })
    refused("2: --x has a NUL byte in it", 64, 'needs = { x = text {} }, env = { A = "$x" },', { x = "a\0b" })
  end)

  it("are filled once, also in a list that two rows share", function()
    local data = assert(load('needs = { x = text {} }, network = (function() local names = { "$x" }\n'
      .. 'return { allow { ports = { 1 }, names[1] }, allow(names), allow(names) } end)(),', { x = "a.org" }))
    assert.equal("a.org", data.network.rows[3].names[1].name)
    assert.equal("$$x", load([[needs = { x = text {} }, env = (function() local e = { A = "$x" } return e end)(),]],
      { x = "$$x" }).env.A)
  end)

  it("of a policy that is extended are its own, and the other's to use", function()
    local base = language.file('return policy "b" { needs = { x = text {}, y = text { default = "why" } },\n env = { B = "$x" } }')
    local function child(text)
      return language.file(('return policy "c" { extends = "%s", %s }'):format(base, text))
    end
    local data = assert(policy.load(child 'needs = { z = text {} }, env = { C = "$x$z" }', { parameters = { x = "1", z = "2" } }))
    assert.same({ B = "1", C = "12" }, data.env)
    data = assert(policy.load(child 'env = { C = "$x" }', { parameters = { x = "1" } }))
    assert.same({ B = "1", C = "$x" }, data.env) -- a file without `needs` means its dollar signs
    local _, told = language.told(policy.load(child "needs = { x = text {} }", { parameters = { x = "1" } }))
    assert.equal("1: `x` is a parameter of the policy that this one extends already", told)
  end)

  it("are checked as far as that is possible without values", function()
    local data = load(all, nil, { partial = true })
    assert.same({ name = "p" }, data)
    refused('7: unknown key `prots` in `allow`; did you mean `ports`?', 65, all:gsub("ports = { 22", "prots = { 22"), nil,
      { partial = true })
  end)

  it("can be had in YAML", function()
    local data, told = language.policy([[
policy: y
extends: base
needs:
  host: text
  n: { number: { default: 2, max: 5 } }
  mode: { choice: { words: [fast, slow], default: fast } }
network:
  - allow: [$host]
limits: { cpus: $n }
env: { MODE: "$mode" }
]], ".yaml", { parameters = { host = "a.org", n = "4" } })
    assert.is_nil(told)
    assert.same({ "a.org", 4, "fast" }, { data.network.rows[1].names[1].name, data.limits.cpus, data.env.MODE })
  end)

  it("of a pipeline's policy need defaults", function()
    local path = language.file 'return policy "p" { extends = "base", needs = { x = text {} }, env = { A = "$x" } }'
    local data, told = language.pipeline(('return pipeline "p" { policy = "%s", step "s" { run = { "true" } } }'):format(path))
    assert.is_nil(data)
    assert.equal("1: `x` needs a default under a pipeline, whose policy gets no values", told)
  end)
end)
