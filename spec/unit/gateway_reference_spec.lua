-- What C and Lua both know of names, addresses and rules, compared.
local core = require "moonbox.core"
local names = require "moonbox.names"
local reference = require "support.rules_reference"

local network = reference.network

describe("a name", function()
  it("has the canonical form that the policy language gives it", function()
    local texts = { "github.com", "GitHub.COM.", "a..b", ".a.com", "a.com..", "", ".", "-a.com", "a-.com", "a_b.com", "_x.y", "1.2.3",
      "1.0x7f", "a.0x", "a.0xg", "0xcafe.org", "0x7f000001", "127.1", "2130706433", "0177.0.0.1", "x.123", "123.x", "localhost.",
      "b\195\188cher.de", "xn--bcher-kva.de", "ex\227\128\130ample.com", "a\226\128\139b.com", "a%2eb.com", "a\0b.com", "a\0", "a\r.com",
      "a\n", "a\t.com", "a b.com", " a.com", "a.com ", "u@a.com", "a.com#b", "a\\b.com", "a.com:80", "[::1]", "*.a.com", "**",
      ("a"):rep(63) .. ".com", ("a"):rep(64) .. ".com", ("a."):rep(124) .. "comxx", ("a."):rep(124) .. "comxxx",
      ("a."):rep(124) .. "comxx.",
      "a\127.com", "a\255.com", "a/b.com", "a.com/", "a?b" }
    for _, text in ipairs(texts) do
      local parsed = names.parse(text)
      local want = parsed and parsed.form == "exact" and not parsed.port and parsed.name or nil
      assert.equal(want, core.name(text), ("%q"):format(text))
    end
  end)

  it("has it whatever it is made of", function()
    local pick = reference.generator(7)
    local alphabet = { "a", "B", "z", "0", "9", "-", "_", ".", ".", "x", "0x", "*", ":", "%", " ", "\0", "\195\188", "xn--", "com", "1." }
    local good = 0
    for _ = 1, 20000 do
      local parts = {}
      for i = 1, pick(7) do parts[i] = alphabet[pick(#alphabet)] end
      local text = table.concat(parts)
      local parsed = names.parse(text)
      local want = parsed and parsed.form == "exact" and not parsed.port and parsed.name or nil
      local is = core.name(text)
      assert.equal(want, is, ("%q"):format(text))
      if is then
        good = good + 1
        assert.equal(is, core.name(is))
      end
    end
    assert.is_true(good > 1000)
  end)
end)

describe("an address", function()
  local function same(text)
    local parsed = names.bytes(text) and names.parse(text)
    local is = core.address(text)
    assert.equal(parsed and parsed.name, is and is.text, text)
    if is then assert.equal(names.internal(text), is.internal, text) end
    return is
  end

  it("is read and classified as the policy language does it", function()
    for _, text in ipairs { "10.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "::1", "::", "::127.0.0.1",
      "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a00:1::", "2001::1", "fec0::1", "fe80::1%eth0",
      "fe80::1", "fd00:ec2::254", "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
      "255.255.255.255", "192.0.2.1", "203.0.113.9", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:0:192.0.2.1", "1:2:3:4:5:6:7::",
      "::2:3:4:5:6:7:8", "1::8", "1:0:0:2::3", "1::2::3", ":::", "1:2:3:4:5:6:7:8:9", "12345::", "::1.2.3", "::1.2.3.04", "01.2.3.4",
      "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\0", "[::1]", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:DB8::A", "0:0:1:0:0:0:1:0",
      "2606:4700::1111", "3fff::1", "4000::1", "2001:200::1", "2001:1ff:ffff::1", "192.88.99.1", "" } do
      same(text)
    end
  end)

  it("is so whatever its bytes", function()
    local pick = reference.generator(11)
    local first = { "0", "a", "64", "2001", "2002", "fe80", "fd00", "ffff", "2606", "64:ff9b", "0:0:0:0:0:ffff", "100", "7f00" }
    local internal, public = 0, 0
    for _ = 1, 20000 do
      local text
      if pick(3) == 1 then
        text = ("%d.%d.%d.%d"):format(pick(300) - 1, pick(256) - 1, pick(256) - 1, pick(256) - 1)
      else
        local parts = { first[pick(#first)] }
        for _ = 1, pick(7) do parts[#parts + 1] = pick(3) == 1 and "" or ("%x"):format(pick(65536) - 1) end
        text = table.concat(parts, ":")
      end
      local is = same(text)
      if is and is.internal then internal = internal + 1 elseif is then public = public + 1 end
    end
    assert.is_true(internal > 500 and public > 500)
  end)
end)

describe("the rules and their reference", function()
  local hosts = { "a.example", "b.a.example", "c.b.a.example", "example", "other.test", "intranet", "x.local", "stated.test",
    "203.0.113.7", "198.51.100.7", "10.1.2.3", "127.0.0.1", "2001:db8::7", "::ffff:10.1.2.3", "64:ff9b::c633:6407", "fd00::1" }
  local resolved = { false, "203.0.113.7", "198.51.100.7", "10.1.2.3", "::ffff:198.51.100.7", "64:ff9b::c633:6407", "2001:db8::7",
    "169.254.169.254", "fd00::1" }
  local outward = { "a.example", "*.a.example", "*.b.a.example", "other.test", "other.test:22", "intranet", "x.local", "*.local",
    "203.0.113.0/24", "198.51.100.7", "2001:db8::/32", "203.0.113.7:80", "*.example.test" }
  local inward = { "10.0.0.0/8", "10.1.2.3:22", "127.0.0.1", "fd00::/8", "169.254.169.254" }
  local ports = { 22, 80, 443 }

  local function any(pick, list, n)
    local out = {}
    for i = 1, pick(n) do out[i] = list[pick(#list)] end
    return out
  end

  local function made_up(pick)
    local rows = {}
    for i = 1, pick(6) do
      local word = ({ "allow", "deny", "deny", "allow", "allow_internal" })[pick(5)]
      local list = word == "allow_internal" and any(pick, inward, 2) or any(pick, outward, 3)
      if word == "deny" and pick(3) == 1 then list[#list + 1] = ({ "internal", "10.1.0.0/16", "127.0.0.0/8" })[pick(3)] end
      rows[i] = { word, list, ports = pick(2) == 1 and any(pick, ports, 2) or nil }
    end
    return network(rows, { mode = pick(6) == 1 and "open" or "list", otherwise = pick(4) == 1 and "allow" or "deny",
      hosts = { ["stated.test"] = ({ "10.1.2.3", "203.0.113.7" })[pick(2)] } })
  end

  it("decide alike", function()
    local pick, allows, denials = reference.generator(1), 0, 0
    for case = 1, 600 do
      local rows = made_up(pick)
      local handle = assert(core.rules(rows))
      for _ = 1, 60 do
        local host, port = hosts[pick(#hosts)], ({ 22, 80, 443, 8080 })[pick(4)]
        local address = not names.bytes(host) and resolved[pick(#resolved)] or nil
        local want, row = reference.decide(rows, host, port, address)
        local is = handle:decide(host, port, address)
        assert.equal(want, is.allow, ("case %d: %s %d %s: %s"):format(case, host, port, tostring(address), is.reason))
        if row then assert.equal(row, is.row) end
        if want then allows = allows + 1 else denials = denials + 1 end
      end
    end
    assert.is_true(allows > 5000 and denials > 5000)
  end)

  it("answer alike", function()
    local pick = reference.generator(2)
    for _ = 1, 6 do
      local rows = made_up(pick)
      local handle, host = assert(core.rules(rows)), hosts[pick(8)]
      assert.equal(reference.answers(rows, host), handle:answers(host), host)
    end
  end)

  it("decide alike about a large policy, in little time", function()
    local rows = { { "deny", { "internal" } } }
    for i = 1, 80 do
      local list = {}
      for n = 1, 50 do list[n] = ("%sh%d.d%d.example"):format(n % 2 == 0 and "*." or "", n, i) end
      rows[#rows + 1] = { "allow", list, ports = { 443 } }
    end
    local large = network(rows)
    local handle = assert(core.rules(large))
    local began = os.clock()
    for _ = 1, 20000 do handle:decide("www.h50.d80.example", 443) end
    -- The bound is far off: a scan of all the names for each question takes more than ten times as long.
    assert.is_true(os.clock() - began < 2)
    for _, host in ipairs { "h1.d1.example", "x.h2.d1.example", "h2.d1.example", "h49.d80.example", "x.h49.d80.example" } do
      assert.equal(reference.decide(large, host, 443), handle:decide(host, 443).allow, host)
    end
  end)
end)
