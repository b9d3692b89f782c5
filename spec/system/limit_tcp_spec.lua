-- What TCP connections hold is counted: a sandbox that sends to itself and reads nothing has no more of it than its memory
-- limit says, and leaves the host's one account for TCP (tcp(7), tcp_mem) to others.
local box = require "support.box"
local limited = require "support.limited"

-- Two hundred connections to itself, each sent to until nothing more goes in: the megabytes that did.
local FILL = [[python3 -c '
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
listener, held, sent = socket.create_server(("127.0.0.1", 0), backlog=500), [], 0
for _ in range(200):
    client = socket.create_connection(listener.getsockname(), 20)
    server, _ = listener.accept()
    server.setblocking(False)
    held += [client, server]
    try:
        for _ in range(400): sent += server.send(bytes(1 << 16))
    except BlockingIOError: pass
print(sent >> 20)']]

describe("the memory limit, as TCP goes,", function()
  setup(box.enter)
  teardown(box.leave)

  local function sent(memory)
    local outcome = limited.run(("limits = { memory = %d * MB, time = 60 * seconds },"):format(memory), FILL)
    return outcome.code, tonumber(outcome.stdout), outcome.stderr
  end

  it("86: holds for what is sent and not read; what fits is sent (control)", function()
    if not limited.hard "memory" then return pending "where memory is only watched, this is not seen (SECURITY.md)" end
    local code, little = sent(96)
    assert.is_true(code == 137 or code == 0 and little <= 96, ("%s with %s MB"):format(code, little))
    local _, more, why = sent(400)
    assert.is_true(more ~= nil and more > 2 * (little or 0) and more >= 100, tostring(more) .. " " .. why)
  end)
end)
