-- core/gateway/rules*.c through moonbox.core.
local core = require "moonbox.core"
local reference = require "support.rules_reference"

local network, targets = reference.network, reference.targets

local function rules(rows, more) return assert(core.rules(network(rows, more))) end

local function allowed(handle, host, port, address) return assert(handle:decide(host, port or 443, address)).allow end

describe("rules", function()
  it("match names at their labels, and ports", function()
    local handle = rules { { "allow", { "*.github.com", "exact.example:22" }, ports = { 443, 80 } } }
    for host, want in pairs { ["a.github.com"] = true, ["a.b.github.com"] = true, ["github.com"] = false,
      ["evilgithub.com"] = false, ["github.com.evil.com"] = false, ["A.GitHub.Com."] = true } do
      assert.equal(want, allowed(handle, host), host)
      assert.equal(want, handle:answers(host), host)
    end
    for port, want in pairs { [443] = true, [80] = true, [22] = false, [8443] = false, [0] = false } do
      assert.equal(want, allowed(handle, "a.github.com", port), port)
    end
    assert.is_true(allowed(handle, "exact.example", 22))
    assert.is_false(allowed(handle, "exact.example", 443))
    assert.is_nil(handle:decide(".github.com", 443))
    assert.is_nil(handle:decide("a.github.com:443", 443))
    assert.has_error(function() handle:decide("a.github.com", 65536) end)
  end)

  it("are read top to bottom, and say which line decided and why", function()
    local handle = rules { { "deny", { "bad.example.org" }, why = "no" }, { "allow", { "*.example.org" } },
      { "deny", { "late.example.org" } }, { "deny", { "port.example.net" }, ports = { 25 } }, { "allow", { "port.example.net" } } }
    assert.same({ allow = false, rule = "policy:2", reason = "no", row = 1 }, handle:decide("bad.example.org", 443))
    assert.same({ allow = true, rule = "policy:3", reason = "an allow row has it", row = 2 }, handle:decide("late.example.org", 443))
    assert.same({ allow = false, rule = "policy:1", reason = "no row allows it" }, handle:decide("other.example", 443))
    assert.is_false(allowed(handle, "port.example.net", 25))
    assert.is_true(allowed(handle, "port.example.net", 26))
    assert.is_false(handle:answers("bad.example.org"))
    assert.is_true(handle:answers("port.example.net"))
  end)

  it("say that another port is what is allowed", function()
    local handle = rules { { "allow", { "a.example" }, ports = { 443 } }, { "allow_internal", { "10.1.2.3:5432" } } }
    assert.equal("it is allowed on other ports only", handle:decide("a.example", 80).reason)
    assert.equal("this internal address is opened on other ports only", handle:decide("10.1.2.3", 80).reason)
  end)

  it("never let an internal address through by a name, in any form", function()
    local handle = rules { { "allow", { "*.example.org" } } }
    for _, address in ipairs { "10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1",
      "fd00:ec2::254", "100.64.0.1", "0.0.0.0", "198.18.0.1", "fe80::1" } do
      assert.same({ allow = false, rule = "built in", reason = "internal addresses are never reached" },
        handle:decide("a.example.org", 443, address))
    end
    assert.is_true(allowed(handle, "a.example.org", 443, "203.0.113.7"))
    local open = rules({}, { mode = "open", otherwise = "allow" })
    assert.is_false(allowed(open, "a.example.org", 443, "10.0.0.1"))
    assert.is_false(allowed(open, "::ffff:7f00:1", 443))
    assert.is_true(allowed(open, "203.0.113.7", 443))
  end)

  it("open internal addresses by allow_internal alone", function()
    local handle = rules({ { "deny", { "internal" }, why = "inside" }, { "deny", { "10.1.9.0/24" } },
      { "allow_internal", { "10.1.0.0/16" }, ports = { 5432 } }, { "allow", { "db.example" } } },
      { hosts = { ["static.example"] = "10.1.2.4", ["far.example"] = "10.2.0.1" } })
    assert.same({ allow = true, rule = "policy:4", reason = "an allow_internal row has it", row = 3 }, handle:decide("10.1.2.3", 5432))
    assert.is_true(allowed(handle, "::ffff:10.1.2.3", 5432))
    assert.is_false(allowed(handle, "10.1.2.3", 5433))
    assert.is_false(allowed(handle, "10.1.9.3", 5432))
    assert.equal("inside", handle:decide("10.2.2.3", 5432).reason)
    -- By name: allowed as a name besides, or with that address in the policy itself.
    assert.is_true(allowed(handle, "db.example", 5432, "10.1.2.3"))
    assert.is_false(allowed(handle, "db.example", 443, "10.1.2.3"))
    assert.is_false(allowed(handle, "other.example", 5432, "10.1.2.3"))
    assert.is_true(allowed(handle, "static.example", 5432))
    assert.is_false(allowed(handle, "static.example", 443))
    assert.is_true(handle:answers("static.example"))
    assert.is_false(handle:answers("far.example"))
    assert.is_false(allowed(handle, "static.example", 5432, "10.1.2.5"))
  end)

  it("deny what a name leads to, also inside of NAT64, and allow blocks to literal addresses only", function()
    local handle = rules({ { "deny", { "198.51.100.0/24" } }, { "allow", { "203.0.113.0/24", "2001:db8::/32" } } },
      { otherwise = "allow" })
    assert.is_false(allowed(handle, "198.51.100.7"))
    assert.is_false(allowed(handle, "a.example.org", 443, "198.51.100.7"))
    assert.is_false(allowed(handle, "a.example.org", 443, "64:ff9b::c633:6407"))
    assert.is_false(allowed(handle, "a.example.org", 443, "::ffff:198.51.100.7"))
    assert.is_true(allowed(handle, "a.example.org", 443, "198.51.101.7"))
    assert.equal(2, handle:decide("203.0.113.1", 443).row)
    assert.is_nil(handle:decide("a.example.org", 443, "203.0.113.1").row)
    assert.equal(2, handle:decide("2001:db8::1", 443).row)
  end)

  it("answer no name of local use unless a row has it", function()
    local open = rules({ { "allow", { "printer.local" } } }, { mode = "open", hosts = { single = "203.0.113.1" } })
    for _, name in ipairs { "localhost", "a.localhost", "x.local", "x.internal", "x.onion", "intranet", "router.home.arpa", "onion" } do
      assert.is_false(open:answers(name), name)
    end
    assert.is_true(open:answers("printer.local"))
    assert.is_true(open:answers("single"))
    assert.is_true(open:answers("www.example.org"))
    assert.is_false(rules({}):answers("localhost."))
    assert.is_true(rules({ { "allow", { "intranet" } } }):answers("intranet"))
  end)

  it("refuse everything when there are none", function()
    for _, empty in ipairs { network {}, { mode = "none", rules = network({ { "allow", { "a.example" } } }).rules, from = "x:1" } } do
      local handle = assert(core.rules(empty))
      for _, host in ipairs { "a.example", "203.0.113.1", "localhost", "10.0.0.1" } do
        assert.is_false(allowed(handle, host), host)
      end
    end
  end)

  it("keep the plan's numbers beside a row about inbound ports", function()
    local table_of = network { { "allow", { "a.example" } } }
    table.insert(table_of.rules, 1, { word = "publish", ports = { 8080 }, on = "127.0.0.1:0", from = "policy:9" })
    assert.equal(2, core.rules(table_of):decide("a.example", 443).row)
    assert.is_false(allowed(core.rules(table_of), "b.example", 8080))
    assert.is_false(allowed(core.rules(table_of), "127.0.0.1", 8080))
  end)

  it("are refused with a sentence when a plan's value is none", function()
    for _, bad in ipairs { { mode = "all" }, { dns = "fast" }, { resolver = "name.example" }, { resolver = "203.0.113.53:0x35" },
      { resolver = "203.0.113.53:0" }, { hosts = { ["a b"] = "203.0.113.1" } }, { hosts = { a = "127.1" } }, { otherwise = "maybe" } } do
      local handle, message, code = core.rules(network({}, bad))
      assert.is_nil(handle)
      assert.truthy(message:match("^network rules: '.*' is no "), message)
      assert.truthy(code == "EINVAL" or code == "EBADMSG")
    end
    for _, name in ipairs { { form = "exact", name = "A.example" .. ("x"):rep(300) }, { form = "wildcard", name = "a.example" },
      { form = "cidr", name = "203.0.113.0/33" }, { form = "group", name = "ecosystem" }, { form = "regex", name = "a" },
      { form = "exact", name = "a.example", port = 70000 } } do
      assert.is_nil((core.rules { mode = "list", rules = { { word = "deny", names = { name } } } }))
    end
    assert.is_nil((core.rules { mode = "list", rules = { { word = "allow", names = targets { "internal" } } } }))
    assert.is_nil((core.rules { mode = "list", rules = { { word = "allow_internal", names = targets { "a.example" } } } }))
    assert.has_error(function() core.rules { mode = 1 } end)
    assert.has_error(function() core.rules { rules = "all" } end)
  end)
end)
