-- `moonbox why`: the answer of a policy about one host, from the code that a gateway runs.
local language = require "spec.support.language"
local json = require "moonbox.json"

local POLICY = [[return policy "x" {
  network = {
    deny { "bad.example.org", why = "not this one" },
    allow { "*.example.org", ports = { 80, 443 } },
    allow { "a.example:22", "203.0.113.0/24" },
    allow_internal { "10.1.2.3:5432", why = "the database" },
    hosts = { ["db.example"] = "10.1.2.3" },
  },
}]]

local function why(arguments)
  local errors = os.tmpname()
  local pipe = io.popen("build/moonbox why " .. arguments .. " 2>" .. errors .. '; echo "code $?"')
  local text, code = pipe:read("*a"):match("^(.*)code (%d+)\n$")
  pipe:close()
  local handle = io.open(errors)
  local err = handle:read("*a")
  handle:close()
  os.remove(errors)
  return tonumber(code), text, err
end

describe("why", function()
  local path
  before_each(function() path = language.file(POLICY) end)
  after_each(language.clean)

  local function says(host, code, first)
    local is, text, err = why(path .. " '" .. host .. "'")
    assert.same({ code, "" }, { is, err }, host)
    assert.equal(first:gsub("FILE", function() return path end), text:match("^[^\n]*"))
    return text
  end

  it("says whether a host is allowed on a port, by which line, and the reason", function()
    local text = says("www.Example.org.:443", 0, "www.example.org, port 443: allowed at FILE:4 (*.example.org): an allow row has it")
    assert.truthy(text:find("judged again at each connection", 1, true))
    says("www.example.org:22", 1, "www.example.org, port 22: denied at FILE:2: it is allowed on other ports only")
    text = says("bad.example.org:443", 1, "bad.example.org, port 443: denied at FILE:3 (bad.example.org): not this one")
    assert.truthy(text:find("DNS does not answer the name", 1, true))
    says("example.org:443", 1, "example.org, port 443: denied at FILE:2: no row allows it")
    says("203.0.113.7:9", 0, "203.0.113.7, port 9: allowed at FILE:5 (203.0.113.0/24): an allow row has it")
    says("[2001:db8::1]:9", 1, "2001:db8::1, port 9: denied at FILE:2: no row allows it")
    says("10.1.2.3:5432", 0, "10.1.2.3, port 5432: allowed at FILE:6 (10.1.2.3): the database")
    says("169.254.169.254:80", 1, "169.254.169.254, port 80: denied by a built-in rule: internal addresses are never reached")
    text = says("db.example:5432", 0, "db.example, port 5432: allowed at FILE:6: the database")
    assert.truthy(text:find("gives its address, 10.1.2.3", 1, true))
    says("internal", 1, "internal, all ports: denied at FILE:2: no row allows it")
  end)

  it("says what the policy's author can do about a refusal", function()
    local function advises(host, advice)
      local _, text = why(path .. " '" .. host .. "'")
      assert.equal(advice, text:match("^[^\n]*\n([^\n]*)"), host)
    end
    advises("evil.example:443", 'A row allow { "evil.example:443" } in `network` would let it through.')
    advises("[2001:db8::1]:9", 'A row allow { "[2001:db8::1]:9" } in `network` would let it through.')
    advises("www.example.org:22", "It is allowed on ports 80 and 443, at " .. path .. ":4.")
    advises("bad.example.org:443", "An allow row above that line would come first.")
    advises("10.9.9.9:80", 'Only a row allow_internal { "10.9.9.9:80", why = "…" } opens an internal address.')
    advises("::1", 'Only a row allow_internal { "[::1]:PORT", why = "…" } opens an internal address.')
    local _, text = why "offline github.com"
    assert.truthy(text:find('\nnetwork = { allow { "github.com" } } would give it one.\n', 1, true), text)
  end)

  it("without a port tells of all ports", function()
    local text = says("www.example.org", 0, "www.example.org, ports 80 and 443: allowed at FILE:4 (*.example.org): an allow row has it")
    assert.truthy(text:find("\nwww.example.org, other ports: denied at ", 1, true))
    says("a.example", 0, "a.example, port 22: allowed at FILE:5 (a.example): an allow row has it")
    says("203.0.113.7", 0, "203.0.113.7, all ports: allowed at FILE:5 (203.0.113.0/24): an allow row has it")
    says("bad.example.org", 1, "bad.example.org, all ports: denied at FILE:3 (bad.example.org): not this one")
  end)

  it("answers programs", function()
    local code, text = why("--json " .. path .. " www.example.org")
    local answer = assert(json.decode(text))
    assert.same({ 0, true, true, "www.example.org", true }, { code, answer.allow, answer.answered, answer.host, answer.judged_again })
    assert.same({ { 80, 443 }, true, path .. ":4", 2 }, { answer.decisions[1].ports, answer.decisions[1].allow, answer.decisions[1].rule,
      answer.decisions[1].row })
    assert.same({ false, path .. ":2" }, { answer.decisions[2].allow, answer.decisions[2].rule })
    code, text = why("--json " .. path .. " 10.9.9.9:80")
    answer = assert(json.decode(text))
    assert.equal(1, code)
    assert.same({ 80, false, nil, "built in" }, { answer.port, answer.allow, answer.answered, answer.decisions[1].rule })
  end)

  it("knows policies without network, open ones, and hooks", function()
    local code, text = why("offline github.com")
    assert.equal(1, code)
    assert.truthy(text:match("^github.com, all ports: denied at policies/offline.lua:%d+: the policy gives no network\n"))
    local open = language.file('return policy "x" { network = "open",\n on = { connect = function() end } }')
    code, text = why(open .. " www.example.org:443")
    assert.equal(0, code)
    assert.truthy(text:match("^www.example.org, port 443: allowed at [^\n]+: the network is open\n"))
    assert.truthy(text:find("on.connect at " .. open .. ":2 may still deny it.", 1, true))
    assert.equal(1, (why(open .. " localhost:80")))
  end)

  it("refuses what is no question, with 64, and a bad policy with 65", function()
    for _, arguments in ipairs { "", "codex", "codex a b", "codex '*.github.com'", "codex 10.0.0.0/8", "codex https://github.com",
      "codex github.com:0", "codex 'a b'", "codex ''", "--what codex github.com", "codex 127.1" } do
      local code, out, err = why(arguments)
      assert.same({ 64, "" }, { code, out }, arguments)
      assert.truthy(err:match("^moonbox: [^\n]+\n$"), arguments .. ": " .. err)
    end
    local code, out, err = why("nosuch github.com")
    assert.same({ 65, "" }, { code, out })
    assert.truthy(err:match("^moonbox: there is no policy `nosuch`"))
    code, out, err = why(language.file "return 1" .. " github.com")
    assert.same({ 65, "" }, { code, out })
    assert.truthy(err:match(":1: "))
  end)
end)
