-- core/gateway/dns.c: what it makes of queries, and replies read back byte by byte.
local gateway = require "support.gateway"

local A, PTR, AAAA, HTTPS, ANY, AXFR = 1, 12, 28, 65, 255, 252

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function labels(name)
  return (name:gsub("([^.]+)%.?", function(label) return string.char(#label) .. label end)) .. "\0"
end

local OPT = "\0\0\41\4\208\0\0\0\0\0\0"

-- A query, as RFC 1035 section 4.1 lays it out.
local function query(name, type, more)
  more = more or {}
  return "\171\205" .. (more.flags or "\1\0") .. u16(more.questions or 1) .. "\0\0\0\0" .. u16(more.others or (more.tail and 1 or 0))
    .. (more.wire or labels(name)) .. u16(type or A) .. (more.class or "\0\1") .. (more.tail or "")
end

local function parse(...)
  local code, question = gateway.dns_parse(query(...))
  return code, require("ffi").string(question.name), question
end

local function reply(text, answer, size)
  local code, question = gateway.dns_parse(text)
  assert.is_true(code >= 0)
  return gateway.dns_reply(text, question, answer, size)
end

local function counts(bytes)
  local out = {}
  for i = 0, 3 do out[i + 1] = bytes:byte(5 + 2 * i) * 256 + bytes:byte(6 + 2 * i) end
  return out
end

describe("a DNS query", function()
  it("has a canonical name, a type and an end", function()
    local code, name, question = parse("WWW.Example.ORG", AAAA)
    assert.same({ 0, "www.example.org", AAAA, 1, 12 + 17 + 4, 512 }, { code, name, question.type, question.class,
      tonumber(question["end"]), question.room })
    for _, type in ipairs { A, HTTPS, ANY, 16, 33 } do assert.equal(0, (parse("a.example", type))) end
    assert.equal("_sip._tcp.a.example", select(2, parse "_sip._tcp.a.example"))
  end)

  it("has no canonical name when another reader might see another one", function()
    for _, wire in ipairs { "\0", "\3a.b\0", "\1*\3com\0", "\3a\0b\0", "\4\255abc\0", "\2-a\0", "\3\49\50\55\1\49\0", "\1 \0",
      "\4a\046bc\0" } do
      local code, name = parse(nil, A, { wire = wire })
      assert.same({ 0, "" }, { code, name }, ("%q"):format(wire))
    end
  end)

  it("is refused with a code when it is no plain question", function()
    for code, list in pairs {
      [1] = { { questions = 0 }, { questions = 2 }, { wire = "\192\12" }, { wire = "\64a\0" },
        { wire = ("\63" .. ("a"):rep(63)):rep(4) .. "\0" },
        { tail = "x", others = 0 }, { tail = OPT .. OPT, others = 2 }, { tail = OPT:sub(1, 10) }, { tail = OPT, others = 2 },
        { tail = "\1a" .. OPT }, { tail = OPT:rep(5), others = 5 }, { wire = "\9short" }, { tail = "\0\0\1\0\1\0\0\0\0\255\255" } },
      [4] = { { flags = "\40\0" }, { flags = "\16\0" } },
      [5] = { { class = "\0\3" }, { class = "\0\255" } },
      [16] = { { tail = "\0\0\41\4\208\0\1\0\0\0\0" } },
    } do
      for i, more in ipairs(list) do assert.equal(code, (parse("a.example", A, more)), code .. " " .. i) end
    end
    assert.equal(5, (parse("a.example", AXFR)))
    assert.equal(-1, (gateway.dns_parse(query("a.example", A, { flags = "\129\0" }))))
    assert.equal(-1, (gateway.dns_parse "\171\205\1\0\0\1\0\0\0\0\0"))
    local whole = query("a.example", A, { tail = OPT })
    for length = 12, #whole - 1 do assert.equal(1, (gateway.dns_parse(whole:sub(1, length))), length) end
  end)

  it("says how much room a reply has", function()
    for size, room in pairs { [0] = 512, [512] = 512, [1000] = 1000, [1232] = 1232, [4096] = 1232 } do
      local _, _, question = parse("a.example", A, { tail = "\0\0\41" .. u16(size) .. "\0\0\128\0\0\0" })
      assert.same({ room, true, true }, { question.room, question.edns, question.wants_dnssec })
    end
  end)

  it("for a reverse name has its address", function()
    for name, address in pairs { ["7.113.0.203.in-addr.arpa"] = "203.0.113.7", ["1.0.18.198.IN-ADDR.ARPA"] = "198.18.0.1",
      ["7." .. ("0."):rep(23) .. "8.b.d.0.1.0.0.2.ip6.arpa"] = "2001:db8::7" } do
      local _, _, question = parse(name, PTR)
      assert.equal(address, gateway.reverse(question))
    end
    for _, name in ipairs { "113.0.203.in-addr.arpa", "07.113.0.203.in-addr.arpa", "256.113.0.203.in-addr.arpa",
      "1.7.113.0.203.in-addr.arpa",
      "7.113.0.203.in-addr.arpa.example", ("0."):rep(31) .. "ip6.arpa", ("0."):rep(31) .. "g.ip6.arpa", "a.example" } do
      local _, _, question = parse(name, PTR)
      assert.is_nil(gateway.reverse(question), name)
    end
    local _, _, question = parse("7.113.0.203.in-addr.arpa", A)
    assert.is_nil(gateway.reverse(question))
  end)
end)

describe("a DNS reply", function()
  it("repeats the question as it was asked and answers it", function()
    local text = query("wWw.ExAmple.org", A)
    local out = reply(text, { a = "198.18.0.7", ttl = 60 })
    assert.equal("\171\205\129\128", out:sub(1, 4))
    assert.same({ 1, 1, 0, 0 }, counts(out))
    assert.equal(text:sub(13), out:sub(13, #text))
    assert.equal("\192\12\0\1\0\1\0\0\0\60\0\4\198\18\0\7", out:sub(#text + 1))
    local six = reply(query("a.example", AAAA), { a = "2001:db8::7", ttl = 1 })
    assert.equal("\0\28\0\1\0\0\0\1\0\16\32\1\13\184" .. ("\0"):rep(11) .. "\7", six:sub(-26))
    local pointer = reply(query("7.0.18.198.in-addr.arpa", PTR), { pointer = "a.example", ttl = 1 })
    assert.equal("\0\12\0\1\0\0\0\1\0\11\1a\7example\0", pointer:sub(-21))
  end)

  it("that there is nothing may be remembered", function()
    for code, flags in pairs { [0] = "\129\128", [3] = "\129\131" } do
      local out = reply(query("a.example", HTTPS), { code = code, ttl = 5 })
      assert.equal(flags, out:sub(3, 4))
      assert.same({ 1, 0, 1, 0 }, counts(out))
      assert.equal("\0\0\6\0\1\0\0\0\5\0\22\0\0\0\0\0\1", out:sub(28, 44))
      assert.equal("\0\0\0\5", out:sub(-4))
    end
  end)

  it("carries a code, whatever of the query could be read", function()
    assert.same({ "\129\133", { 1, 0, 0, 0 } }, (function(out) return { out:sub(3, 4), counts(out) } end)(reply(query "a.example",
      { code = 5 })))
    local out = reply("\171\205\1\0\0\9\0\0\0\0\0\0", { code = 1 })
    assert.equal("\171\205\129\129\0\0\0\0\0\0\0\0", out)
    out = reply(query("a.example", A, { tail = "\0\0\41\4\208\0\1\0\0\0\0" }), { code = 16 })
    assert.same({ 1, 0, 0, 1 }, counts(out))
    assert.equal("\0\0\41\4\208\1\0\0\0\0\0", out:sub(-11))
  end)

  it("has an OPT record when the query had one", function()
    local out = reply(query("a.example", A, { tail = OPT }), { a = "198.18.0.7", ttl = 1 })
    assert.same({ 1, 1, 0, 1 }, counts(out))
    assert.equal(OPT, out:sub(-11))
  end)

  it("says that it was cut", function()
    local text = query("a.example", A)
    for size, want in pairs { [#text + 16] = { "\129\128", 1, 1 }, [#text + 15] = { "\131\128", 1, 0 }, [#text - 1] = { "\131\128", 0, 0 },
      [12] = { "\131\128", 0, 0 } } do
      local out = reply(text, { a = "198.18.0.7" }, size)
      assert.is_true(#out <= size)
      assert.same(want, { out:sub(3, 4), counts(out)[1], counts(out)[2] })
    end
    assert.equal("", reply(text, { a = "198.18.0.7" }, 11))
    local again = reply(text, { a = "198.18.0.7", refuse_more = true })
    assert.same({ "\131\128", { 1, 0, 0, 0 } }, { again:sub(3, 4), counts(again) })
  end)
end)
