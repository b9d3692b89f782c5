-- core/gateway/http_head.c: what may pass of a plain HTTP connection, however it is cut.
local gateway = require "support.gateway"

local function head(lines) return (lines:gsub("|", "\r\n")) .. "\r\n\r\n" end

-- Feeds a text in pieces of `size` bytes. Returns the last word, what passed of all, and the connection.
local function feed(text, size)
  local http, word, passed = gateway.http(), "more", 0
  for at = 1, #text, size or #text do
    word, passed = http.feed(text:sub(at, at + (size or #text) - 1))
    if word ~= "more" and word ~= "not" then break end
  end
  return word, passed, http
end

local function refused(text)
  local word, passed, http = feed(text)
  assert.equal("bad", word, ("%q"):format(text))
  assert.truthy(http.reason():match("^%a[^\n]+[^%.%s]$"))
  for size = 1, 3 do
    local again, also = feed(text, size)
    assert.same({ word, passed }, { again, also }, ("%q"):format(text))
  end
  return passed, http.reason()
end

local function accepted(text, host, requests)
  for size = 1, #text do
    local word, passed, http = feed(text, size)
    assert.same({ "more", #text, host, requests or 1 }, { word, passed, http.host(), http.requests() }, ("%q"):format(text))
  end
end

describe("an HTTP connection", function()
  it("passes requests for one host, with bodies of every kind", function()
    accepted(head "GET / HTTP/1.1|Host: A.Example.", "a.example")
    accepted(head "GET / HTTP/1.0|host:\ta.example:8080 \t", "a.example")
    accepted(head "OPTIONS * HTTP/1.1|Host: a.example", "a.example")
    accepted(head "GET http://A.example:80?x HTTP/1.1|Host: a.example", "a.example")
    accepted(head "GET / HTTP/1.1|Host: [2001:DB8::1]:80", "2001:db8::1")
    accepted(head "GET / HTTP/1.1|Host: 203.0.113.7", "203.0.113.7")
    accepted(head "PUT /\195\188 HTTP/1.1|Host: a.example|Content-Length: 5|X-Empty:|X: \195\188" .. "he\0\r\n"
      .. head "GET /2 HTTP/1.1|Host: a.example", "a.example", 2)
    accepted(head "POST / HTTP/1.1|Host: a.example|Transfer-Encoding: Chunked" .. "5\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
      .. head "GET /2 HTTP/1.1|Host: A.EXAMPLE", "a.example", 2)
    accepted(head "GET / HTTP/1.1|Host: a.example|Content-Length: 0" .. head "HEAD / HTTP/1.1|Host: a.example", "a.example", 2)
  end)

  it("holds an unfinished head and passes a body at once", function()
    local first, second = head "POST / HTTP/1.1|Host: a.example|Content-Length: 3", head "GET /2 HTTP/1.1|Host: a.example"
    local http = gateway.http()
    assert.same({ "more", 0 }, { http.feed(first:sub(1, -2)) })
    assert.same({ "more", #first }, { http.feed(first:sub(-1)) })
    assert.same({ "more", #first + 2 }, { http.feed "ab" })
    assert.same({ "more", #first + 3 }, { http.feed("c" .. second:sub(1, 9)) })
    assert.same({ "more", #first + #second + 3 }, { http.feed(second:sub(10)) })
    local chunked = head "POST / HTTP/1.1|Host: a.example|Transfer-Encoding: chunked"
    assert.same({ "more", #chunked }, { gateway.http().feed(chunked .. "1f") })
    assert.same({ "more", #chunked + 6 }, { gateway.http().feed(chunked .. "1f\r\nab") })
  end)

  it("stops at a request for another host, and what came before has passed", function()
    local first = head "GET / HTTP/1.1|Host: a.example"
    for _, second in ipairs { head "GET / HTTP/1.1|Host: b.example", head "GET http://b.example/ HTTP/1.1|Host: a.example",
      head "GET / HTTP/1.1|Host: a.example.b.example", head "GET / HTTP/1.1|Host: 203.0.113.1" } do
      local passed, reason = refused(first .. second)
      assert.equal(#first, passed)
      assert.equal("a request is for another host than the first", reason)
    end
    assert.equal(0, (refused(head "GET https://b.example/ HTTP/1.1|Host: a.example")))
    assert.equal(#first, (refused(first .. "\r\n" .. first)))
    assert.equal(#first, (refused(first .. "\22\3\1")))
  end)

  it("is no guess about where a message ends", function()
    for _, fields in ipairs { "Content-Length: 3|Transfer-Encoding: chunked", "Transfer-Encoding: chunked|Content-Length: 3",
      "Content-Length: 3|Content-Length: 4", "Content-Length: 3|Content-Length: 3", "Content-Length: 3, 3", "Content-Length: +3",
      "Content-Length: 0x3", "Content-Length: 03", "Content-Length:", "Content-Length: -1", "Content-Length: 3 3",
      "Content-Length: 9999999999999999999", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
      "Transfer-Encoding: xchunked", "Transfer-Encoding: identity", "Transfer-Encoding:\11chunked",
      "Transfer-Encoding: chunked|TRANSFER-ENCODING: x", "Transfer_Encoding: chunked", "Content_Length: 3", "Content-Length : 3",
      "Transfer-Encoding\t: chunked", "X: a|\tb: c", "X: a| b",
      ": x", "X", "X\0: a", "X: \0", "X: a\127", "Upgrade: websocket|Transfer-Encoding: chunked" } do
      assert.equal(0, (refused(head("POST / HTTP/1.1|Host: a.example|" .. fields))), fields)
    end
    refused(head "POST / HTTP/1.0|Host: a.example|Transfer-Encoding: chunked")
    refused("GET / HTTP/1.1\nHost: a.example\n\n")
    refused("GET / HTTP/1.1\r\nHost: a.example\n\r\n")
    refused("GET / HTTP/1.1\r\nHost: a.example\r\n\n")
    refused("GET / HTTP/1.1\r\nHost: a.example\rX: y\r\n\r\n")
    refused("GET / HTTP/1.1\r\n Host: a.example\r\n\r\n")
    local chunked = head "POST / HTTP/1.1|Host: a.example|Transfer-Encoding: chunked"
    for _, body in ipairs { "5;x=y\r\n", "\r\n", " 5\r\n", "5 \r\n", "0x5\r\n", "-1\r\n", "5\n", "5\rx", ("1"):rep(16) .. "\r\n", "1\r\nab",
      "1\r\na\n", "1\r\na\rx", "0\r\nHost: b.example\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", "0\r\n x\r\n", "g\r\n" } do
      local text = chunked .. body
      assert.is_true((refused(text)) < #text, body)
    end
  end)

  it("has exactly one Host which is a name or an address", function()
    for _, fields in ipairs { "X: y", "Host: a.example|Host: a.example", "Host: a.example|Host: b.example", "Host:",
      "Host: a.example b.example", "Host: a.example, b.example", "Host: u@a.example", "Host: a.example:", "Host: a.example:x",
      "Host: a.example:123456",
      "Host: [::1", "Host: ::1", "Host: [a.example]", "Host: [203.0.113.1]", "Host: 2130706433", "Host: 0x7f.1", "Host: a%2eexample",
      "Host: *.example",
      "Host: " .. ("a."):rep(200) .. "example", "Host: a.example" .. (" "):rep(400) .. "x" } do
      assert.equal(0, (refused(head("GET / HTTP/1.1|" .. fields))), fields)
    end
    for _, target in ipairs { "a.example", "a.example/", "//a.example", "ftp://a.example/", "http:a.example", "http://u@a.example/",
      "http:///", "*", "http://" .. ("a"):rep(400) } do
      local text = head("GET " .. target .. " HTTP/1.1|Host: a.example")
      if target == "//a.example" then accepted(text, "a.example") else refused(text) end
    end
    refused(head "CONNECT a.example:443 HTTP/1.1|Host: a.example:443")
    refused(head("GET / HTTP/1.1|Host: a.example|X: " .. ("y"):rep(65536)))
    local long = head("GET /" .. ("z"):rep(30000) .. " HTTP/1.1|Host: a.example|Cookie: " .. ("y"):rep(30000))
    assert.same({ "more", #long }, { gateway.http().feed(long) })
  end)

  it("may turn to a protocol that names no hosts, when the server agrees", function()
    local first = head "GET / HTTP/1.1|Host: a.example|Upgrade: websocket|Connection: Upgrade"
    local second = head "GET / HTTP/1.1|Host: a.example"
    for size = 1, #first do
      local word, passed, http = feed(first .. second, size)
      assert.same({ "upgrade", #first }, { word, passed })
      assert.same({ "upgrade", #first }, { http.feed(second) })
    end
    local _, _, http = feed(first .. second)
    http.answered(true)
    assert.same({ "not", #first + 10 }, { http.feed "\129\4anything" })
    _, _, http = feed(first .. second)
    http.answered(false)
    assert.same({ "more", #first + #second }, { http.feed(second) })
    assert.equal("bad", (http.feed "\129\4anything"))
  end)

  it("may not turn to one that names hosts", function()
    for _, to in ipairs { "h2c", "websocket, h2c", "TLS/1.0", "HTTP/2.0", ("x"):rep(400) } do
      local first = head("GET / HTTP/1.1|Host: a.example|Upgrade: " .. to)
      local word, passed, http = feed(first)
      assert.same({ "upgrade", #first }, { word, passed })
      http.answered(true)
      assert.same({ "bad", #first }, { http.feed "PRI * HTTP/2.0\r\n" })
      http = select(3, feed(first))
      http.answered(false)
      local second = head "GET / HTTP/1.1|Host: a.example"
      assert.same({ "more", #first + #second }, { http.feed(second) })
    end
  end)

  it("passes the body of an upgrade while the answer is awaited", function()
    local first = head "POST / HTTP/1.1|Host: a.example|Upgrade: websocket|Content-Length: 4"
    local http = gateway.http()
    assert.same({ "upgrade", #first + 2 }, { http.feed(first .. "ab") })
    assert.same({ "upgrade", #first + 4 }, { http.feed "cdGET" })
    http.answered(false)
    assert.same({ "more", #first + 4 }, { http.feed "GET" })
  end)

  it("has a Host whatever a method is made of", function()
    for _, method in ipairs { "1GET", "-GET", "_GET", "!", "0032git-upload-pack" } do
      local request = method .. " / HTTP/1.1\r\nHost: a.example\r\n\r\n"
      accepted(request, "a.example")
      assert.equal("a request is for another host than the first",
        select(2, refused(request .. method .. " / HTTP/1.1\r\nHost: b.example\r\n\r\n")))
    end
  end)

  it("is another protocol only when no server could take it for HTTP", function()
    for _, text in ipairs { "SSH-2.0-OpenSSH_9.2\r\n", "EHLO a.example\r\n", "\0\0\0\8\4\210\22\47", "0032git-upload-pack /x\0host=a\0",
      "{}\n", "*1\r\n$4\r\nPING\r\n", "get key\r\n", "PING\r\n", "<?xml", "AMQP\0\0\9\1", "\22\3\1", "\r\nhello there\r\n", "a:b",
      "\195\188" } do
      for size = 1, #text do
        local word, passed = feed(text, size)
        assert.same({ "not", #text }, { word, passed }, ("%q"):format(text))
      end
    end
    for _, text in ipairs { "GET /\r\n", "GET http://b.example/\r\n", " GET / HTTP/1.1\r\n", "\r\nGET / HTTP/1.1\r\n",
      "GET\t/ HTTP/1.1\r\n", "GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET / http/1.1\r\n", "GET / HTTP/2.0\r\n", "GET / HTTP/1.1\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / x HTTP/1.1\r\n", "GET /\11 HTTP/1.1\r\n", "GET / HTTP/1.1x\r\n", "get / HTTP/1.\r\n",
      "GET / HTTP/1.12\r\n", "1GET / HTTP/1.1\n", "-GET / x HTTP/1.1\r\n", "0032get / HTTP/1.1\n", "0032get / HTTP/1.1 \0\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n", "PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n!\17\0\12" } do
      assert.equal(0, (refused(text)))
    end
    for _, text in ipairs { "G", "GET /x", " ", "GET / HTTP/1.", "PING" } do
      assert.same({ "more", 0 }, { gateway.http().feed(text) })
    end
  end)
end)
