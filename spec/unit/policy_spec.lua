-- Policies from file to merged data.
local language = require "spec.support.language"
local policy = require "moonbox.policy"

local function words(rows, name)
  local out = {}
  for i, row in ipairs(rows) do out[i] = row.word .. " " .. table.concat(row[name] or {}, ",") end
  return out
end

local function names_of(row)
  local out = {}
  for i, name in ipairs(row.names) do out[i] = name.name .. (name.port and ":" .. name.port or "") end
  return out
end

describe("a policy", function()
  after_each(language.clean)

  it("is the tightest when it says nothing", function()
    local data = assert(language.policy('return policy "x" {}'))
    assert.same({}, data.files.rows)
    assert.equal("none", data.network.mode)
    assert.equal("deny", data.network.otherwise)
    assert.same({}, data.env)
    assert.same({}, data.hooks)
  end)

  it("closes the network for every list that allows nothing", function()
    for _, network in ipairs { '"none"', "{}", "{ allow {} }", "{ deny { 'x.org' } }",
      "{ requests = 1 / minute }",
      "{ otherwise = 'deny' }", "{ publish {} }" } do
      local data = language.policy('return policy "x" { network = ' .. network .. " }")
      if network ~= "{ publish {} }" then assert.equal("none", data.network.mode, network) end
    end
    for _, network in ipairs { "{ nil }", "false", "true", "1", "''", "'nnone'", "{ 'github.com' }",
      "{ allow = {} }",
      "{ allow(nil) }", "{ allow(4) }", "{ allow { nil, 4 } }" } do
      local data = language.policy('return policy "x" { network = ' .. network .. " }")
      assert.is_true(data == nil or data.network.mode == "none", network)
    end
  end)

  it("keeps its rows in order with their lines", function()
    local data = assert(language.policy([[
return policy "x" {
  about = "About.",
  files = {
    storage = "memory",
    read_only { "/usr", "/opt", optional = true },
    read_write { "/workspace" },
    scratch { "/tmp", size = 16 * MB },
    bind { "/srv/data", at = "/data", mode = "read_write" },
    bind { "/srv/more" },
    file { "/etc/motd", text = "hello" },
    hidden { "/usr/games" },
  },
}]]))
    assert.same({ "read_only /usr,/opt", "read_write /workspace", "scratch /tmp", "bind /srv/data",
      "bind /srv/more",
      "file /etc/motd", "hidden /usr/games" }, words(data.files.rows, "paths"))
    local lines = {}
    for i, row in ipairs(data.files.rows) do lines[i] = row.line end
    assert.same({ 5, 6, 7, 8, 9, 10, 11 }, lines)
    assert.is_true(data.files.rows[1].optional)
    assert.equal(16 * 2 ^ 20, data.files.rows[3].size)
    assert.equal("/data", data.files.rows[4].at)
    assert.equal("read_write", data.files.rows[4].mode)
    assert.equal("/srv/more", data.files.rows[5].at)
    assert.equal("read_only", data.files.rows[5].mode)
    assert.equal("hello", data.files.rows[6].text)
    assert.equal("memory", data.files.storage)
  end)

  it("has its network names in one form, groups opened", function()
    local data = assert(language.policy([[
return policy "x" {
  network = {
    deny { "internal", "*.Onion", why = "hidden" },
    allow { ecosystem.npm, "GitHub.com.", ports = { 22, 443 }, watch = true },
    allow { "x.org:8443", "2001:DB8::1" },
    allow_internal { "10.1.2.3:5432", why = "the test database" },
    publish { 8080, why = "preview" },
    allow { "docs.python.org", requests = 10 / second, bandwidth = 1 * Mbit, bytes = 1 * GB },
    requests = 100 / minute, bandwidth = 50 * Mbit, resolver = "192.0.2.53", dns = "verify",
    hosts = { ["One.example"] = "192.0.2.1" },
  },
}]]))
    local network = data.network
    assert.equal("list", network.mode)
    assert.same({ "internal", "*.onion" }, names_of(network.rows[1]))
    assert.equal("hidden", network.rows[1].why)
    local allowed = network.rows[2]
    assert.same({ 22, 443 }, allowed.ports)
    assert.equal("ecosystem.npm", allowed.names[1].group)
    assert.equal("policies/ecosystem/npm.lua", allowed.names[1].file)
    assert.equal("github.com", allowed.names[#allowed.names].name)
    assert.same({ "x.org:8443", "2001:db8::1" }, names_of(network.rows[3]))
    assert.is_true(network.rows[4].names[1].internal)
    assert.same({ 8080 }, network.rows[5].ports)
    assert.equal("127.0.0.1:0", network.rows[5].on)
    assert.same({ count = 10, seconds = 1 }, network.rows[6].requests)
    assert.equal(1e6, network.rows[6].bandwidth)
    assert.equal(2 ^ 30, network.rows[6].bytes)
    assert.equal("192.0.2.53:53", network.resolver)
    assert.same({ count = 100, seconds = 60 }, network.requests)
    assert.equal(50e6, network.bandwidth)
    assert.same({ ["one.example"] = "192.0.2.1" }, network.hosts)
  end)

  it("knows the line of what holds otherwise", function()
    local function line(text)
      return assert(language.policy('return policy "x" { extends = "base",\n' .. text .. "\n}")).network.from:match("[^/]+$")
    end
    assert.truthy(line('network = {\n allow { "x.org" },\n otherwise = "deny" }'):match("%.lua:4$"))
    assert.truthy(line('network = {\n allow { "x.org" } }'):match("%.lua:2$"))
    assert.truthy(line('network = "open"'):match("%.lua:2$"))
    assert.truthy(line(""):match("^base%.lua:%d+$"))
  end)

  it("has addresses with ports in one form", function()
    local function of(text)
      local data = assert(language.policy('return policy "x" { network = { ' .. text .. ' } }'))
      return data.network.resolver or data.network.rows[1].on
    end
    assert.equal("192.0.2.53:5353", of 'resolver = "192.0.2.53:5353"')
    assert.equal("[2001:db8::53]:53", of 'resolver = "2001:DB8:0::53"')
    assert.equal("[2001:db8::53]:54", of 'resolver = "[2001:db8::53]:54"')
    assert.equal("[::1]:0", of 'publish { 80, on = "[::1]:0" }')
    assert.equal("[::1]:0", of 'publish { 80, on = "::1" }')
    assert.equal("127.0.0.2:8080", of 'publish { 80, on = "127.0.0.2:8080" }')
    assert.equal("127.0.0.1:0", of 'publish { 80, 443, on = "127.0.0.1:0" }')
    for _, text in ipairs { 'resolver = "192.0.2.53:0"', 'resolver = "192.0.2.53:65536"', 'resolver = "dns.example"',
      'resolver = "192.0.2.0/24"', 'publish { 80, on = "0.0.0.0:0" }', 'publish { 80, on = "192.0.2.1:80" }',
      'publish { 80, 81, on = "127.0.0.1:9" }', 'publish { 80, on = "localhost:0" }', "publish { 0 }",
      "publish { 53 }", "publish { 1 }" } do
      assert.is_nil(language.policy('return policy "x" { network = { ' .. text .. ' } }'), text)
    end
  end)

  it("gives a group's bare names beside its wildcards where the group says so", function()
    local data = assert(language.policy('return policy "x" { network = { allow { ecosystem.pypi, docs.python } } }'))
    local found = {}
    for _, name in ipairs(data.network.rows[1].names) do found[name.name] = name.group end
    assert.equal("ecosystem.pypi", found["*.pypi.org"])
    assert.equal("ecosystem.pypi", found["pypi" .. ".org"])
    assert.equal("docs.python", found["*.readthedocs.io"])
    assert.is_nil(found["readthedocs.io"])
  end)

  it("reads limits, process and env in their units", function()
    local data = assert(language.policy([[
return policy "x" {
  limits = { cpus = 0.5, memory = 1.5 * GB, disk = 2 * GB, time = 90 * seconds, processes = 10,
    open_files = 100,
    hold = { memory = "hard" } },
  process = { user = "agent", capabilities = { "net_bind_service" }, syscalls = "strict",
    ids = "subordinate" },
  env = { A = "b", LD_PRELOAD = "/x.so", _1 = "" },
  on = { connect = function () return nil end,
    violation = function (v) return kill, notify "ops" end },
}]]))
    assert.same({ cpus = 0.5, memory = 1.5 * 2 ^ 30, disk = 2 ^ 31, time = 90, processes = 10,
      open_files = 100,
      hold = { memory = "hard" } }, data.limits)
    assert.same({ "net_bind_service" }, data.process.capabilities)
    assert.equal("strict", data.process.syscalls)
    assert.same({ A = "b", LD_PRELOAD = "/x.so", _1 = "" }, data.env)
    assert.equal("connect", data.hooks[1].name)
    assert.equal(8, data.hooks[1].line)
    assert.equal(9, data.hooks[2].line)
  end)

  it("holds every limit hard when told so in one word", function()
    local data = assert(language.policy('return policy "x" { limits = { hold = "hard" } }'))
    assert.same({ cpus = "hard", memory = "hard", disk = "hard", disk_read = "hard", disk_write = "hard",
      disk_read_ops = "hard", disk_write_ops = "hard", time = "hard", cpu_time = "hard", processes = "hard" },
      data.limits.hold)
  end)

  it("tells the line of every key when asked", function()
    local data = assert(language.policy([[
return policy "x" { extends = "base",
  limits = { cpus = 3,
    memory = 1 * GB },
  env = { LANG = "C" },
}]], nil, { lines = true }))
    assert.equal(data.file .. ":2", data.from["limits.cpus"])
    assert.equal(data.file .. ":3", data.from["limits.memory"])
    assert.equal(data.file .. ":4", data.from["env.LANG"])
    assert.truthy(data.from["limits.time"]:match("^policies/base.lua:%d+$"))
    assert.truthy(data.from["env.PATH"]:match("^policies/base.lua:%d+$"))
    assert.truthy(data.from.network:match("^policies/base.lua:%d+$"))
  end)
end)

describe("extending", function()
  after_each(language.clean)

  local function sum(base, child)
    local path = language.file(base)
    return language.policy(child:gsub("BASE", path))
  end

  it("puts the base's files first and the policy's network first", function()
    local data = assert(sum([[return policy "b" {
      files = { read_only { "/usr" }, read_write { "/workspace" } },
      network = { allow { "a.org" }, bandwidth = 1 * Mbit, requests = 5 / second },
    }]], [[return policy "c" { extends = "BASE",
      files = { hidden { "/usr/games" }, storage = "memory" },
      network = { deny { "a.org" }, bandwidth = 2 * Mbit },
    }]]))
    assert.same({ "read_only /usr", "read_write /workspace", "hidden /usr/games" },
      words(data.files.rows, "paths"))
    assert.equal("deny", data.network.rows[1].word)
    assert.equal("allow", data.network.rows[2].word)
    assert.equal(2e6, data.network.bandwidth)
    assert.same({ count = 5, seconds = 1 }, data.network.requests)
    assert.equal("b", data.extends.name)
    assert.equal("c", data.name)
  end)

  it("overrides limits, process and env key by key", function()
    local data = assert(sum([[return policy "b" {
      limits = { cpus = 1, memory = 1 * GB, hold = { memory = "hard", disk = "hard" } },
      process = { capabilities = { "net_bind_service" }, syscalls = "strict" },
      env = { A = "1", B = "1" } }]],
      [[return policy "c" { extends = "BASE", limits = { cpus = 2, hold = { disk = "any" } },
      process = { capabilities = {} }, env = { B = "2", C = "3" } }]]))
    assert.same({ cpus = 2, memory = 2 ^ 30, hold = { memory = "hard", disk = "any" } }, data.limits)
    assert.same({}, data.process.capabilities)
    assert.equal("strict", data.process.syscalls)
    assert.same({ A = "1", B = "2", C = "3" }, data.env)
  end)

  it("never opens what only the policy's own words close", function()
    local open = 'return policy "b" { network = "open" }'
    assert.equal("none",
      assert(sum(open, 'return policy "c" { extends = "BASE", network = "none" }')).network.mode)
    assert.equal("deny", assert(sum(open,
      [[return policy "c" { extends = "BASE", network = { otherwise = "deny", allow { "a.org" } } }]]))
      .network.otherwise)
    assert.equal("open", assert(sum(open, 'return policy "c" { extends = "BASE" }')).network.mode)
    local listed = 'return policy "b" { network = { allow { "a.org" } } }'
    assert.equal("list", assert(sum(listed, 'return policy "c" { extends = "BASE" }')).network.mode)
    assert.equal("none",
      assert(sum(listed, 'return policy "c" { extends = "BASE", network = "none" }')).network.mode)
  end)

  it("goes one level deep, and tells the base's mistakes in the base's file", function()
    local data, told = sum('return policy "b" { extends = "base" }', 'return policy "c" { extends = "BASE" }')
    assert.is_nil(data)
    assert.truthy(told:find("one level deep", 1, true))
    local base = language.file('return policy "b" {\n  limits = { cpus = "two" },\n}')
    local _, diagnostics = policy.load(language.file(('return policy "c" { extends = "%s" }'):format(base)))
    assert.same({ file = base, line = 2, text = "`cpus` takes a number, not the text \"two\"" },
      { file = diagnostics[1].file, line = diagnostics[1].line, text = diagnostics[1].text })
  end)

  it("of itself ends", function()
    local path = language.file("")
    local handle = io.open(path, "w")
    handle:write(('return policy "x" { extends = "%s" }'):format(path))
    handle:close()
    local data, told = language.told(policy.load(path))
    assert.is_nil(data)
    assert.truthy(told:find("one level deep", 1, true))
  end)
end)

describe("groups", function()
  after_each(language.clean)

  it("that a policy mentions twice are read once", function()
    local data = assert(language.policy(
      'return policy "x" { network = { allow { ecosystem.npm }, deny { ecosystem["npm"] } } }'))
    assert.same(names_of(data.network.rows[1]), names_of(data.network.rows[2]))
  end)

  it("are known by their name only", function()
    for _, name in ipairs { "../codex", "npm/../pypi", "", "NPM", "npm\\0x", ("x"):rep(5000) } do
      local data, told = language.policy(('return policy "x" { network = { allow { ecosystem["%s"] } } }')
        :format(name))
      assert.is_nil(data, name)
      assert.truthy(told:find("there is no group", 1, true), told)
    end
  end)

  it("can't be changed", function()
    local data, told = language.policy('ecosystem.npm = "*"\nreturn policy "x" {}')
    assert.is_nil(data)
    assert.equal("1: `ecosystem` can't be changed", told)
  end)
end)

describe("the shipped policies", function()
  local json = require "moonbox.json"

  it("are right, and say what the mission asks", function()
    local codex = assert(policy.load("codex"))
    assert.same({ cpus = 4, memory = 16 * 2 ^ 30, disk = 50 * 2 ^ 30, time = 4 * 3600, processes = 4096,
      open_files = 65536, grace = 10 }, codex.limits)
    assert.same({ count = 100, seconds = 60 }, codex.network.requests)
    assert.equal(50e6, codex.network.bandwidth)
    assert.equal("deny", codex.network.otherwise)
    assert.same({ "net_bind_service" }, codex.process.capabilities)
    assert.same({ "internal", "*.onion" }, names_of(codex.network.rows[1]))
    assert.equal("disk", codex.files.storage)
    local offline = assert(policy.load("offline"))
    assert.equal("none", offline.network.mode)
    assert.equal("memory", offline.files.storage)
    assert.equal(2 ^ 30, offline.limits.memory)
    assert.equal("none", assert(policy.load("base")).network.mode)
  end)

  it("each open with why they exist", function()
    local pipe = io.popen("find policies -name '*.lua'")
    local count = 0
    for path in pipe:lines() do
      count = count + 1
      local handle = io.open(path)
      assert.truthy(handle:read("*l"):match("^%-%- %S.+"), path)
      handle:close()
      assert.same({}, require("moonbox.cli.check").diagnostics(path), path)
    end
    pipe:close()
    assert.is_true(count >= 15)
  end)

  it("allow no internal name and no name of anybody", function()
    local text = json.encode(assert(policy.load("codex")).network)
    assert.is_nil(text:find('"internal":true', 1, true))
  end)

  it("are found by name only where they are shipped", function()
    local policies = require "moonbox.policies"
    assert.is_nil(policies.find("nosuch"))
    assert.is_nil(policies.find("..%2fbase"))
    assert.is_nil(policies.find(""))
    assert.is_nil(policies.find("a\0b"))
    local path, label = policies.find("codex")
    assert.truthy(path:match("/codex%.lua$"))
    assert.equal("policies/codex.lua", label)
    assert.equal("./codex", (policies.find("./codex")))
    assert.equal("/a/codex.lua", (policies.find("codex.lua", "/a")))
  end)
end)
