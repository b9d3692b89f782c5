--- The gateway's parsers as specs call them: straight from build/lib/moonbox/core.so, declared by the headers themselves.
local ffi = require "ffi"

local M = {}

local function declarations(name)
  local handle = assert(io.open("core/gateway/" .. name .. ".h"))
  local text = handle:read("*a"):gsub("#[^\n]*\n", "\n")
  handle:close()
  return text
end

ffi.cdef "typedef uint32_t socklen_t; struct sockaddr_storage;"
for _, name in ipairs { "address", "name", "dns", "hello", "http_head", "inspect", "flows" } do ffi.cdef(declarations(name)) end

local C = ffi.load(require("moonbox.core").sys.realpath("build/lib/moonbox/core.so"))
local NAME_SIZE = 254

local hello_results = { [0] = "more", "not tls", "named", "nameless", "bad" }

--- What hello_scan says about the first bytes of a connection: a word, and the name.
function M.hello(bytes)
  local name = ffi.new("char[?]", NAME_SIZE)
  -- A copy of exactly this size, so that a sanitizer sees a read beyond it.
  local copy = ffi.new("uint8_t[?]", math.max(1, #bytes))
  ffi.copy(copy, bytes, #bytes)
  local result = C.hello_scan(copy, #bytes, name)
  return hello_results[tonumber(result)], ffi.string(name)
end

local http_results = { [0] = "more", "not", "upgrade", "bad" }

--- A connection: `feed(bytes)` gives a word and the number of bytes that may pass; `answered(switched)`; `host()`,
-- `reason()`, `requests()`.
function M.http()
  local http, passed = ffi.new "struct http_head", ffi.new("uint64_t[1]")
  local text = ffi.new "struct http_text"
  C.http_head_init(http)
  http.text = text
  return {
    feed = function(bytes)
      if not C.http_head_reading(http) then ffi.fill(text, ffi.sizeof(text), 0xff) end
      local result = C.http_head_feed(http, ffi.cast("const uint8_t *", bytes), #bytes, passed)
      return http_results[tonumber(result)], tonumber(passed[0])
    end,
    answered = function(switched) C.http_head_answered(http, switched) end,
    host = function() return ffi.string(http.host) end,
    reason = function() return http.reason ~= nil and ffi.string(http.reason) or nil end,
    requests = function() return http.requests end,
  }
end

local verdicts = { [0] = "more", "done", "refuse" }

--- A connection to `name`, or to an address when that is nil: `client(bytes, ended)` and `server(bytes)` give a word, what
-- may pass now, and the reason of a refusal.
function M.inspect(name)
  local inspect = ffi.gc(C.inspect_new(name), C.inspect_free)
  local function told(result)
    local word = verdicts[tonumber(result.verdict)]
    return word, ffi.string(result.pass, result.length), word == "refuse" and ffi.string(result.reason) or nil
  end
  return {
    -- The name is borrowed.
    name = name,
    client = function(bytes, ended)
      local result = ffi.new "struct inspect_result"
      C.inspect_client(inspect, ffi.cast("const uint8_t *", bytes), #bytes, ended or false, result)
      return told(result)
    end,
    server = function(bytes)
      local result = ffi.new "struct inspect_result"
      C.inspect_server(inspect, ffi.cast("const uint8_t *", bytes), #bytes, result)
      return told(result)
    end,
    wants_server = function() return C.inspect_wants_server(inspect) end,
  }
end

--- dns_parse: its code and the question.
function M.dns_parse(bytes)
  local question = ffi.new "struct dns_question"
  return C.dns_parse(ffi.cast("const uint8_t *", bytes), #bytes, question), question
end

local function address(text)
  local out = ffi.new "struct address"
  assert(C.address_parse(text, out), text)
  return out
end

--- dns_reply: the bytes of a reply. `answer` = { code =, a = address text, pointer = name, ttl =, refuse_more = }.
function M.dns_reply(bytes, question, answer, size)
  local a = ffi.new "struct dns_answer"
  a.code, a.ttl, a.refuse_more = answer.code or 0, answer.ttl or 0, answer.refuse_more or false
  if answer.a then a.a = address(answer.a) end
  if answer.pointer then a.pointer = answer.pointer end
  local out = ffi.new("uint8_t[?]", size or 1232)
  local length = C.dns_reply(ffi.cast("const uint8_t *", bytes), #bytes, question, a, out, size or 1232)
  return ffi.string(out, length)
end

--- The text of a question's reverse address, or nil.
function M.reverse(question)
  if question.reverse.length == 0 then return nil end
  local text = ffi.new "char[46]"
  C.address_format(question.reverse, text)
  return ffi.string(text)
end

--- Whether the canonical `name` is `pattern`, or below it.
function M.matches(name, pattern, below) return C.name_matches(name, pattern, below) end

ffi.cdef [[
int close(int fd);
int own_open(void *err);
bool own_address(int socket, const struct address *address);
long send(int fd, const void *bytes, size_t length, int flags);
]]

--- A route socket as the gateway has one; the caller closes it.
function M.own_socket()
  local fd = C.own_open(ffi.new "char[4096]")
  assert(fd >= 0)
  return fd
end

local function parsed(text)
  local read = ffi.new "struct address"
  assert(C.address_parse(text, read))
  return read
end

--- Whether the host has an address, by number.
function M.own(socket, text) return C.own_address(socket, parsed(text)) end

--- Asks the kernel for the way to an IPv4 address (RTM_GETROUTE, rtnetlink(7)) and leaves the answer in the socket.
function M.ask_route(socket, text)
  local number = ffi.string(parsed(text).bytes, 4)
  local message = "\36\0\0\0\26\0\1\0" .. ("\0"):rep(8) .. "\2\32" .. ("\0"):rep(10) .. "\8\0\1\0" .. number
  assert(ffi.C.send(socket, message, #message, 0) == #message)
end

--- A log of flows into a descriptor, which the caller closes, of at most so many bytes: `add(name, allow, now)`, with the name
-- borrowed until it returns; `flush(now)`, of all; `ok()`.
function M.flows(fd, most)
  local flows = ffi.new "struct flows"
  C.flows_init(flows, fd, nil, most)
  return {
    add = function(name, allow, now)
      local flow = ffi.new "struct flow"
      flow.event, flow.name, flow.allow, flow.rule, flow.reason = "flow", name, allow, "policy.lua:1", not allow and "none" or nil
      C.flows_add(flows, flow, now)
    end,
    flush = function(now) C.flows_flush(flows, now, true) end,
    ok = function() return C.flows_ok(flows) end,
  }
end

return M
