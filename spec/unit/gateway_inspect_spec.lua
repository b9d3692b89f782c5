-- core/gateway/inspect.c: whether what a client says names the host that its connection is for.
local gateway = require "support.gateway"

local GET = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
local SWITCHED = "HTTP/1.1 101 Switching Protocols\r\n"

local function upgrade(to) return "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: " .. to .. "\r\n\r\n" end

describe("a connection to a name", function()
  it("is for that name in TLS and in every plain request", function()
    local handle = assert(io.open("spec/fuzz/corpus/hello/tls13", "rb"))
    local hello = handle:read("*a")
    handle:close()
    local right = gateway.inspect "www.example.org"
    assert.same({ "more", "" }, { right.client(hello:sub(1, 100)) })
    assert.same({ "done", hello .. "x" }, { right.client(hello:sub(101) .. "x") })
    assert.equal("TLS (SNI) names www.example.org on a connection to a.example", (select(3, gateway.inspect("a.example").client(hello))))
    local plain = gateway.inspect "a.example"
    assert.same({ "more", GET }, { plain.client(GET .. "GET ") })
    assert.same({ "refuse", "", "a request is for another host than the first" },
      { plain.client "/ HTTP/1.1\r\nHost: b.example\r\n\r\n" })
    assert.equal("HTTP (Host) names a.example on a connection to b.example", (select(3, gateway.inspect("b.example").client(GET))))
  end)

  it("may end in the middle of a line, unless some server might take that for a request", function()
    local ending = "an HTTP request line without its end"
    for text, wanted in pairs { ["end"] = "done", ["two words"] = "done", ["  "] = "done", ["3 x"] = "done", ["GET"] = "done",
      ["GET /hello"] = ending, ["GET http://b.example/"] = ending, ["POST / HTTP/1.1"] = ending,
      ["PROXY TCP4"] = "a PROXY header, behind which anything could be meant",
      ["GET / HTTP/1.1\r\nHost: b.ex"] = "an HTTP head without its end" } do
      local inspect = gateway.inspect "a.example"
      local word, passed, reason = inspect.client(text)
      if word == "more" then
        assert.equal("", passed)
        word, passed, reason = inspect.client("", true)
      end
      assert.same({ wanted == "done" and { "done", text } or { "refuse", "", wanted } }, { { word, passed, reason } }, text)
    end
  end)

  it("may turn to a WebSocket, from which on all passes", function()
    local inspect = gateway.inspect "a.example"
    local request = upgrade "websocket"
    assert.same({ "more", request }, { inspect.client(request .. "\129") })
    assert.is_true(inspect.wants_server())
    assert.same({ "more", "" }, { inspect.server(SWITCHED:sub(1, 5)) })
    assert.same({ "done", "\129" }, { inspect.server(SWITCHED:sub(6)) })
  end)

  it("may not turn to HTTP/2 or TLS, where the names would go unseen", function()
    for _, to in ipairs { "h2c", "TLS/1.2", "websocket, h2c" } do
      local inspect = gateway.inspect "a.example"
      inspect.client(upgrade(to))
      assert.same({ "refuse", "", "the connection turned to another protocol that names hosts" }, { inspect.server(SWITCHED) })
    end
  end)

  it("goes on when the server does not want to turn", function()
    local inspect = gateway.inspect "a.example"
    inspect.client(upgrade "h2c" .. GET)
    assert.same({ "more", GET }, { inspect.server "HTTP/1.1 200 OK\r\n" })
    assert.equal("refuse", (inspect.client "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
  end)
end)
