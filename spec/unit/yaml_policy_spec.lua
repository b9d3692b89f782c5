-- The same policy in YAML gives the same data; what YAML could smuggle in is refused.
local language = require "spec.support.language"

local function told(text)
  local data, message = language.policy(text, ".yaml")
  assert.is_nil(data, text)
  return message
end

describe("a policy in YAML", function()
  if not language.real then
    return it("needs the compiled core", function() pending("moonbox.core is not built") end)
  end
  after_each(language.clean)

  local yaml = [[
policy: small
about: The same.
extends: base
files:
  read_only: [/usr, /opt]
  scratch: { paths: [/scratch], size: 16 MB }
  bind: { paths: /srv/data, at: /data, optional: true }
  file: { paths: [/etc/motd], text: "4 hours" }
  storage: memory
network:
  - deny: { names: [internal, "*.onion"], why: hidden }
  - allow: [ecosystem.npm, github.com]
  - allow: { names: [docs.python.org], ports: [443], watch: true }
  - publish: [8080]
  - requests: 100 / minute
  - bandwidth: 50 Mbit
limits: { cpus: 0.5, memory: 1.5 GB, time: 4 hours, disk_read: 2 MB / second, disk_read_ops: 100 / second,
  hold: { memory: hard } }
process: { capabilities: [net_bind_service], syscalls: strict }
env: { A: "1", B: two }
]]
  local lua = [[
return policy "small" { about = "The same.", extends = "base",
  files = { read_only { "/usr", "/opt" }, scratch { "/scratch", size = 16 * MB },
    bind { "/srv/data", at = "/data", optional = true }, file { "/etc/motd", text = "4 hours" },
    storage = "memory" },
  network = { deny { "internal", "*.onion", why = "hidden" }, allow { ecosystem.npm, "github.com" },
    allow { "docs.python.org", ports = { 443 }, watch = true }, publish { 8080 },
    requests = 100 / minute, bandwidth = 50 * Mbit },
  limits = { cpus = 0.5, memory = 1.5 * GB, time = 4 * hours, disk_read = 2 * MB / second,
    disk_read_ops = 100 / second, hold = { memory = "hard" } },
  process = { capabilities = { "net_bind_service" }, syscalls = "strict" },
  env = { A = "1", B = "two" } }
]]

  local function without_places(value)
    if type(value) ~= "table" then return value end
    local out = {}
    for k, v in pairs(value) do
      if k ~= "line" and k ~= "file" and k ~= "from" and k ~= "limits_from" then out[k] = without_places(v) end
    end
    return out
  end

  it("is what the same words in Lua are", function()
    assert.same(without_places(assert(language.policy(lua))),
      without_places(assert(language.policy(yaml, ".yaml"))))
  end)

  it("knows its lines", function()
    local data = assert(language.policy(yaml, ".yml", { lines = true }))
    assert.equal(11, data.network.rows[1].line)
    assert.equal(data.file .. ":17", data.from["limits.memory"])
    local message = told("policy: x\nfiles:\n  read_only:\n    - /usr\n    - usr\n"
      .. "limits:\n  cpus: 1\n  memory: 4 hours\n")
    assert.equal('5: "usr" is not absolute; it starts with /\n'
      .. "8: `memory` takes a size such as 4 * GB, not a time", message)
  end)

  it("is refused where YAML says more than it shows", function()
    for text, sentence in pairs {
      ["policy: &a x\nabout: *a"] = "1: anchors", ["policy: x\nabout: *a"] = "2: aliases",
      ["policy: !x y"] = "1: tags",
      ["policy: !!str y"] = "1: tags", ["policy: x\n---\npolicy: y"] = "2: a second document",
      ["policy: x\npolicy: y"] = "2: `policy` stands here twice",
      ["policy: x\nenv: { A: '1', A: '2' }"] = "2: `A` stands",
      ["policy: x\n<<: { about: y }"] = "2: unknown key `<<`", ["policy: x\nabout:"] = "a value is missing",
      ["policy: x\nabout: ~"] = "a value is missing", ["- policy"] = "is a mapping", ["x"] = "is a mapping",
      ["policy: x\nfiles: [read_only]"] = "an item of `files` is one word",
      ["policy: x\n? [a]\n: b"] = "a name is a word",
      ["policy: x\non: { connect: x }"] = "written in Lua", ["about: x"] = "a policy has a name",
      ["policy: a b"] = "a policy has a name",
      ["policy: x\nnetwork: { alow: [a.org] }"] = "did you mean `allow`?",
      ["policy: x\nlimits: { cpus: yes }"] = "takes a number",
      ["policy: x\nenv: { A: 1 }"] = "takes text in quotes",
      ["policy: x\n\tabout: y"] = "2: ", ["policy: [unclosed"] = ": ", [""] = "is empty",
      ["# only"] = "is empty",
      ["policy: x\nnetwork: { allow: [ecosystem.nmp] }"] = "did you mean `npm`?",
      ["policy: x\nprocess: { capabilities: [sys_admin] }"] = "can't be granted",
    } do
      local message = told(text)
      assert.truthy(message:find(sentence, 1, true), text .. " -> " .. message)
    end
  end)

  it("is bounded in depth and size", function()
    assert.truthy(told("policy: x\nabout: " .. ("["):rep(5000) .. ("]"):rep(5000)):find("deeper than", 1,
      true))
    assert.truthy(told("policy: x\nenv: [" .. ("a,"):rep(150000) .. "]"):find("100,001st", 1, true))
    assert.truthy(told("policy: x\nabout: " .. ("a"):rep(2 ^ 20)):find("longer than 1 MB", 1, true))
  end)

  it("is no less strict about units", function()
    for _, memory in ipairs { "16", "16 gb", "GB", "16GBB", "1e3 GB", "16 * GB * GB", "0x10 GB", '"16 GB"',
      "-1 GB",
      "16 / GB" } do
      told("policy: x\nlimits: { memory: " .. memory .. " }")
    end
    for _, memory in ipairs { "16 GB", "16GB", "16 * GB", "0.5 TB" } do
      assert(language.policy("policy: x\nlimits: { memory: " .. memory .. " }", ".yaml"))
    end
  end)

  it("refuses arguments that are no text", function()
    assert.has_error(function() language.core.yaml.parse {} end)
    assert.has_error(function() language.core.yaml.parse() end)
    assert.equal("scalar", language.core.yaml.parse("'a'").kind)
    assert.same({ nil, "line 1: is longer than 1 MB", "EFBIG" },
      { language.core.yaml.parse(("a"):rep(2 ^ 20 + 1)) })
  end)
end)
