local json = require "moonbox.json"
local record = require "moonbox.record"
local redact = require "moonbox.redact"
local runs = require "spec.support.runs"
local task = require "moonbox.task"

describe("a redactor", function()
  it("replaces every secret, the longest first", function()
    local r = redact.new { "abc", "abcdef", "" }
    assert.equal("x *** y *** z", r:text("x abcdef y abc z"))
    assert.equal("unchanged", redact.new({}):text("unchanged"))
  end)

  it("takes secrets as bytes, not as patterns", function()
    assert.equal("a***b a+b", redact.new({ ".%w+[" }):text("a.%w+[b a+b"))
  end)

  it("reaches every depth of a table and leaves the original", function()
    local value = { argv = { "tool", "--key=hunter2" }, n = 3, ok = true }
    assert.same({ argv = { "tool", "--key=***" }, n = 3, ok = true }, redact.new({ "hunter2" }):deep(value))
    assert.equal("--key=hunter2", value.argv[2])
  end)

  -- Whatever way a stream is cut, it is replaced as if it had come whole.
  it("finds a secret that is cut anywhere", function()
    local r = redact.new { "hunter2", "hunter22x", "erh" }
    for _, text in ipairs { "say hunter2 and hunter22x, hunterhunter2", "hunter", "hunter22", "huntehunter2hunt" } do
      for a = 0, #text do
        for b = a, #text do
          local feed = r:stream()
          local out = feed(text:sub(1, a)) .. feed(text:sub(a + 1, b)) .. feed(text:sub(b + 1)) .. feed()
          assert.equal(r:text(text), out)
        end
      end
    end
  end)

  it("holds back no more than a beginning", function()
    local feed = redact.new({ "hunter2" }):stream()
    assert.equal("a line\n", feed("a line\n"))
    assert.equal("x", feed("xhunt"))
    assert.equal("huntx", feed("x"))
  end)
end)

describe("a record", function()
  local folder, one, written, shown

  before_each(function()
    folder = runs.folder()
    one = assert(task.create(folder))
    shown = {}
    written = assert(record.open(one, { secrets = { "hunter2" }, sink = function(e) shown[#shown + 1] = e end }))
  end)
  after_each(function()
    written:close()
    one:finish()
    runs.remove(folder)
  end)

  it("tells time as RFC 3339 in UTC with milliseconds", function()
    assert.equal("2026-11-23T20:15:00.999Z", record.time(1795464900.9999))
    assert.equal("1970-01-01T00:00:00.000Z", record.time(0))
  end)

  it("writes one line per event, with time, event and task, and shows the same", function()
    written:event("command", { step = "a", argv = { "x", "line\nbreak", "hunter2" } })
    local events = runs.events(one.path)
    assert.equal(1, #events)
    assert.same({ "x", "line\nbreak", "***" }, { unpack(events[1].argv) })
    assert.equal("command", events[1].event)
    assert.equal(one.id, events[1].task)
    assert.truthy(events[1].time:find("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"))
    assert.equal("***", shown[1].argv[3])
  end)

  it("knows when not all of it could be written", function()
    local log = assert(written:log("logs/a.log"))
    log:write(("x"):rep(3000))
    written:event("notice", {})
    assert.is_nil(written:trouble())
    require("support.file_limit")(4096, function() log:write(("x"):rep(3000)) end)
    assert.equal("write " .. one:file("logs/a.log") .. ": File too large", written:trouble())
    log:close()
  end)

  it("is valid JSON whatever bytes a file's name has", function()
    written:event("notice", { path = "a\255\27b" })
    assert.equal("a\239\191\189\27b", runs.events(one.path)[1].path)
  end)

  it("keeps task.json whole and without secrets", function()
    assert(written:save { state = "running", given = { prompt = "the key is hunter2" } })
    assert(written:save { state = "passed" })
    local data = json.decode(runs.read(one:file("task.json")))
    assert.equal("passed", data.state)
    assert.equal("the key is ***", data.given.prompt)
    assert.equal(one.id, data.id)
  end)

  it("says the state whatever the secrets are", function()
    local own = assert(record.open(one, { secrets = { "run", "pass" } }))
    assert(own:save { state = "running", steps = { { name = "run", state = "passed" } }, given = { state = "pass" } })
    own:event("step_ended", { step = "run", state = "passed" })
    own:close()
    local data = json.decode(runs.read(one:file("task.json")))
    assert.same({ "running", "***", "passed", "***" },
      { data.state, data.steps[1].name, data.steps[1].state, data.given.state })
    assert.equal("passed", runs.events(one.path, "step_ended")[1].state)
    assert.is_true(record.mark_lost(one.path))
  end)

  it("keeps the beginning and the end of a long log, and counts the rest", function()
    local log = assert(written:log("logs/01-a.log"))
    local line = ("%08d "):rep(7281) .. "\n" -- 65,530 bytes
    for i = 1, 1100 do log:write((line:gsub("%%08d", ("%08d"):format(i)))) end
    assert.equal("", log:close())
    local text = runs.read(one:file("logs/01-a.log"))
    assert.is_true(#text <= 64 * 2 ^ 20 + 100, #text)
    assert.equal("00000001 ", text:sub(1, 9))
    assert.equal("00001100 \n", text:sub(-10))
    local head, dropped, tail = text:match("^(.*)\nmoonbox: (%d+) bytes were left out here\n(.*)$")
    assert.equal(1100 * #line:gsub("%%08d", "00000000"), #head + #tail + tonumber(dropped))
    assert.equal(log.dropped(), tonumber(dropped))
    assert.equal(60 * 2 ^ 20, #head)
    assert.equal(4 * 2 ^ 20, #tail)
  end)

  it("writes logs without secrets, also where two streams mix", function()
    local log = assert(written:log("logs/01-a.log"))
    local safe = log:write("out hun", "stdout") .. log:write("err\n", "stderr") .. log:write("ter2\n", "stdout")
    safe = safe .. log:close()
    assert.equal("out err\n***\n", safe)
    assert.equal(safe, runs.read(one:file("logs/01-a.log")))
  end)
end)
