-- core/gateway/hello.c, with the hellos of real programs (spec/fuzz/corpus/hello) and with made ones.
local gateway = require "support.gateway"

local function recorded(name)
  local handle = assert(io.open("spec/fuzz/corpus/hello/" .. name, "rb"))
  local bytes = handle:read("*a")
  handle:close()
  return bytes
end

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function vector(size, bytes)
  return ("\0"):rep(size - 2) .. (size == 1 and string.char(#bytes) or u16(#bytes)) .. bytes
end

local function extension(type, bytes) return u16(type) .. vector(2, bytes) end

local function server_name(...)
  local list = {}
  for i, name in ipairs { ... } do list[i] = "\0" .. vector(2, name) end
  return extension(0, vector(2, table.concat(list)))
end

-- The handshake message.
local function message(extensions, more)
  more = more or {}
  local body = (more.version or "\3\3") .. ("r"):rep(32) .. vector(1, more.session or "") .. vector(2, more.suites or "\19\1")
    .. vector(1, more.compression or "\0") .. (extensions and (more.extensions or vector(2, extensions)) or "")
  return (more.type or "\1") .. vector(3, body)
end

-- In records of at most `size` bytes.
local function records(bytes, size)
  local out = {}
  for at = 1, #bytes, size or 16384 do out[#out + 1] = "\22\3\1" .. vector(2, bytes:sub(at, at + (size or 16384) - 1)) end
  return table.concat(out)
end

local function scan(...) return { gateway.hello(...) } end

describe("a ClientHello", function()
  it("of a real program gives its name", function()
    for file, name in pairs { tls13 = "www.example.org", tls12 = "www.example.org", tls10 = "a.example", alpn = "www.example.org",
      curl = "localhost", node = "node.example" } do
      assert.same({ "named", name }, scan(recorded(file)), file)
    end
    assert.same({ "nameless", "" }, scan(recorded "noname"))
    assert.same({ "bad", "" }, scan(recorded "address"))
  end)

  it("is waited for to its last byte, and what follows doesn't matter", function()
    for _, file in ipairs { "tls13", "tls10", "noname", "curl" } do
      local bytes = recorded(file)
      local whole = scan(bytes)
      for length = 0, #bytes - 1 do assert.same({ "more", "" }, scan(bytes:sub(1, length)), file .. " " .. length) end
      assert.same(whole, scan(bytes .. "\22\3\3\0\1x" .. ("\255"):rep(50000)))
    end
  end)

  it("may be cut into any records", function()
    local bytes = recorded("tls13"):sub(6)
    for size = 1, #bytes do assert.same({ "named", "www.example.org" }, scan(records(bytes, size)), size) end
    for at = 1, #bytes - 1 do
      local two = records(bytes:sub(1, at)) .. records(bytes:sub(at + 1))
      assert.same({ "named", "www.example.org" }, scan(two), at)
      assert.same({ "more", "" }, scan(two:sub(1, at + 8)))
    end
  end)

  it("may be as large as a post-quantum one, up to its bound", function()
    local share = extension(51, vector(2, u16(0x11ec) .. vector(2, ("k"):rep(1216))))
    assert.same({ "named", "pq.example" }, scan(records(message(share .. server_name "pq.example"), 500)))
    local large = message(server_name "large.example" .. extension(21, ("\0"):rep(16000)))
    assert.same({ "named", "large.example" }, scan(records(large)))
    local beyond = records(message(server_name "large.example" .. extension(21, ("\0"):rep(17400))))
    assert.same({ "bad", "" }, scan(beyond))
    assert.same({ "bad", "" }, scan(beyond:sub(1, 9)))
    assert.same({ "bad", "" }, scan(records(large, 8)))
  end)

  it("has one canonical name or none", function()
    assert.same({ "named", "a.example" }, scan(records(message(server_name "A.Example."))))
    assert.same({ "nameless", "" }, scan(records(message(extension(16, "\0\3\2h2")))))
    assert.same({ "nameless", "" }, scan(records(message(nil))))
    assert.same({ "nameless", "" }, scan(records(message ""))) -- an empty list of extensions
    for _, bad in ipairs { server_name("a.example", "b.example"), server_name "a.example" .. server_name "a.example",
      server_name "", server_name(), server_name "a b.example", server_name "a.example\0.b", server_name "203.0.113.1",
      server_name "b\195\188cher.example", server_name(("a."):rep(130) .. "com"), extension(0, ""), extension(0, "\0\0"),
      extension(0, vector(2, "\1" .. vector(2, "a.example"))), extension(0, vector(2, "\0" .. vector(2, "a.example")) .. "x"),
      extension(0, "\0\20\0" .. vector(2, "a.example")) } do
      assert.same({ "bad", "" }, scan(records(message(bad))), ("%q"):format(bad))
    end
  end)

  it("is held to its form", function()
    local name = server_name "a.example"
    for _, more in ipairs { { version = "\2\0" }, { session = ("s"):rep(33) }, { suites = "" }, { suites = "abc" }, { compression = "" },
      { extensions = vector(2, name) .. "x" }, { extensions = u16(#name + 1) .. name }, { extensions = u16(#name - 1) .. name },
      { type = "\2" }, { type = "\0" } } do
      assert.same({ "bad", "" }, scan(records(message(name, more))))
    end
    assert.same({ "bad", "" }, scan(records(message(name) .. message(name))))
    assert.same({ "bad", "" }, scan(records(message(name):sub(1, 20)) .. "\21\3\3\0\2\1\0"))
    assert.same({ "bad", "" }, scan(records(message(name):sub(1, 20)) .. "\22\3\3\0\0"))
    assert.same({ "bad", "" }, scan "\22\3\1\0\0")
    assert.same({ "bad", "" }, scan "\22\3\1\64\1")
  end)

  it("is the first record, and nothing before it is passed over", function()
    local hello = records(message(server_name "www.example.org"))
    for _, record in ipairs { "\21\3\1\0\2\1\90", "\20\3\3\0\1\1", "\23\3\3\0\0", "\24\3\3\0\1\0" } do
      assert.same({ "more", "" }, scan(record:sub(1, 1)))
      assert.same({ "bad", "" }, scan(record .. hello))
    end
    assert.same({ "named", "www.example.org" }, scan(hello))
  end)

  it("of SSLv2 is refused, and other protocols are none", function()
    assert.same({ "bad", "" }, scan "\128\46\1\0\2\0\21\0\0\0\16")
    assert.same({ "bad", "" }, scan "\128\46\1\3\1\0\21\0\0\0\16")
    assert.same({ "more", "" }, scan "\128\46\1")
    for _, bytes in ipairs { "GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\22\2", "\23\2", "\0\0\0\8\4\210\22\47", "\128\46\2",
      "\255\255\255" } do
      assert.same({ "not tls", "" }, scan(bytes), ("%q"):format(bytes))
    end
  end)
end)
