local names = require "moonbox.names"

local function form(text)
  local p, why = names.parse(text)
  return p and ("%s %s%s%s"):format(p.form, p.name, p.port and ":" .. p.port or "", p.internal
    and " internal" or "") or
    "no: " .. why
end

describe("a network name", function()
  it("has one canonical form", function()
    for text, want in pairs {
      ["github.com"] = "exact github.com", ["GitHub.COM."] = "exact github.com",
      ["*.GitHub.com"] = "wildcard *.github.com", ["github.com:22"] = "exact github.com:22",
      ["*.github.com:443"] = "wildcard *.github.com:443",
      ["xn--bcher-kva.example"] = "exact xn--bcher-kva.example",
      ["_dmarc.example.org"] = "exact _dmarc.example.org", ["*.onion"] = "wildcard *.onion",
      ["localhost"] = "exact localhost", ["0xcafe.example"] = "exact 0xcafe.example", ["internal"] = "group internal",
      ["192.0.2.7"] = "address 192.0.2.7", ["192.0.2.0/24"] = "cidr 192.0.2.0/24",
      ["2001:DB8::1"] = "address 2001:db8::1", ["[2001:db8::1]:443"] = "address 2001:db8::1:443",
      ["2001:db8:0:0:0:0:0:1"] = "address 2001:db8::1", ["2001:db8::/32"] = "cidr 2001:db8::/32",
      ["10.1.2.3:5432"] = "address 10.1.2.3:5432 internal", ["192.0.2.7/32"] = "address 192.0.2.7",
    } do
      assert.equal(want, form(text), text)
    end
  end)

  it("is refused when it is too wide, ambiguous or no name", function()
    for _, text in ipairs {
      "", "*", "**", "*.*", ".", "..", "*.com", "*.co.uk", "*.github.io", "*.amazonaws.com", "a.*.b",
      "a*.b.com", "*a.com",
      "**.github.com", "*.*.com",
      "a..b", ".github.com", "github.com..", "-a.com", "a-.com", "a b.com", "a\0.com", "a\n.com", "a\t.com",
      "a\127b.com",
      "a%2eb.com", "fe80::1%eth0", "b\195\188cher.de", "ex\227\128\130ample.com", "user@host.com", "a#b.com",
      "a\\b.com",
      "http://github.com", "github.com/path", "github.com:", "github.com:0", "github.com:65536",
      "github.com:443 ",
      "github.com:+1", "github.com:0443", "github.com:4a", "a.com:1:2",
      "127.1", "2130706433", "0x7f.1", "0x7f000001", "1.0x7f", "a.0x", "*.0X1F", "0177.0.0.1", "1.2.3", "1.2.3.4.5", "256.1.1.1",
      "01.2.3.4", "1.2.3.4.",
      "10.0.0.1/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/a", "::1/129", ":::", "1::2::3", "12345::", "[::1",
      "[1.2.3.4]",
      "[::1]443", "x.123", ("a"):rep(64) .. ".com", ("a."):rep(127) .. "com", ("a"):rep(5000),
    } do
      assert.truthy(form(text):match("^no: "), text .. " is taken as " .. form(text))
    end
  end)

  it("is taken up to its longest", function()
    assert.equal("exact " .. ("a"):rep(63) .. ".com", form(("a"):rep(63) .. ".com"))
    local longest = ("a."):rep(124) .. "comxx"
    assert.equal(253, #longest)
    assert.equal("exact " .. longest, form(longest))
    assert.truthy(form(longest .. "x"):match("^no: "))
  end)

  it("is canonical when it is parsed again", function()
    for _, text in ipairs { "GitHub.com.", "*.X.org", "2001:DB8:0::1", "::ffff:192.0.2.1", "192.0.2.0/25",
      "1::", "::2:3" } do
      local once = assert(names.parse(text))
      local twice = assert(names.parse(once.name))
      assert.equal(once.name, twice.name)
      assert.equal(once.form, twice.form)
    end
  end)

  it("is plain where one name is asked for", function()
    assert.equal("github.com", names.canonical("GITHUB.com."))
    assert.equal("192.0.2.1", names.canonical("192.0.2.1"))
    for _, text in ipairs { "*.x.com", "x.com:80", "internal", "10.0.0.0/8", "x .com" } do
      assert.is_nil(names.canonical(text), text)
    end
  end)
end)

describe("an internal address", function()
  it("is known in every form", function()
    for _, text in ipairs { "127.0.0.1", "127.255.255.255", "10.0.0.1", "172.16.0.1", "172.31.255.255",
      "192.168.1.1",
      "169.254.169.254", "100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.1", "198.18.0.1",
      "224.0.0.1",
      "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",
      "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a00:1::", "2001:0:1::", "fec0::1", "fe80::1", "febf::1",
      "fd00:ec2::254",
      "fc00::1", "ff02::1", "::ffff:0:10.0.0.1", "100::1", "fe00::1", "5f00::1",
      "4000::1", "2001:1ff::1", "192.88.99.1", "3::1" } do
      assert.is_true(names.internal(text), text)
    end
  end)

  it("is not a public or documentation address", function()
    for _, text in ipairs { "192.0.2.1", "198.51.100.1", "203.0.113.1", "8.8.8.8", "172.15.255.255",
      "172.32.0.1",
      "100.63.255.255", "100.128.0.1", "198.20.0.1", "11.0.0.1", "169.253.1.1", "2001:db8::1", "2606:4700::1",
      "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "3fff::1" } do
      assert.is_false(names.internal(text), text)
    end
    assert.is_nil(names.internal("github.com"))
  end)

  it("makes every block that holds one internal", function()
    for _, text in ipairs { "0.0.0.0/0", "8.0.0.0/6", "172.0.0.0/8", "::/0", "fc00::/6", "2000::/3",
      "10.1.0.0/16",
      "::ffff:10.0.0.0/104", "2002:a00::/24", "64:ff9b::/96", "192.168.0.0/15" } do
      assert.is_true(names.parse(text).internal, text)
    end
    for _, text in ipairs { "8.8.8.0/24", "203.0.113.0/24", "2606:4700::/32", "64:ff9b::808:800/120" } do
      assert.is_nil(names.parse(text).internal, text)
    end
  end)
end)

describe("covering", function()
  local function covers(wide, narrow)
    return names.covers(assert(names.parse(wide)), assert(names.parse(narrow)))
  end

  it("matches subdomains only, at label boundaries", function()
    assert.is_true(covers("*.github.com", "a.github.com"))
    assert.is_true(covers("*.github.com", "a.b.github.com"))
    assert.is_true(covers("*.github.com", "*.b.github.com"))
    assert.is_true(covers("*.github.com", "*.github.com"))
    for _, name in ipairs { "github.com", "evilgithub.com", "github.com.evil.com",
      "*.github.com.evil.com" } do
      assert.is_false(covers("*.github.com", name), name)
    end
    assert.is_false(covers("a.github.com", "*.github.com"))
  end)

  it("compares blocks by their bits", function()
    assert.is_true(covers("192.0.2.0/24", "192.0.2.9"))
    assert.is_true(covers("192.0.2.0/24", "192.0.2.128/25"))
    assert.is_false(covers("192.0.2.128/25", "192.0.2.0/24"))
    assert.is_false(covers("192.0.2.0/24", "192.0.3.1"))
    assert.is_false(covers("192.0.2.0/24", "2001:db8::1"))
    assert.is_false(covers("192.0.2.0/24", "a.com"))
  end)
end)
