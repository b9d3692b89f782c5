local json = require "moonbox.json"
local report = require "moonbox.report"
local sanitise = require "moonbox.sanitise"

describe("sanitised text", function()
  it("has nothing that a terminal obeys", function()
    local hostile = {
      ["\27[31mred\27[0m"] = "red", ["a\27]0;title\7b"] = "ab", ["a\27]52;c;AAAA\27\\b"] = "ab",
      ["\27P1$r\27\\x"] = "x", ["a\27cb"] = "ab", ["a\8\8b\7"] = "ab", ["a\194\155" .. "31mb"] = "a31mb",
      ["bell\194\133x"] = "bellx", ["abc\226\128\174def"] = "abcdef", ["x\226\129\166y"] = "xy", ["\127a"] = "a",
      ["tab\there"] = "tab here", ["gr\195\188n"] = "gr\195\188n", ["\255\254"] = "\239\191\189\239\191\189",
      ["\27"] = "", ["\27[31"] = "31",
    }
    for bytes, clean in pairs(hostile) do assert.equal(clean, sanitise.line(bytes)) end
  end)

  it("never has a control byte, for any two bytes after an escape", function()
    for a = 0, 255 do
      for b = 0, 255, 5 do
        local line = sanitise.line("x\27" .. string.char(a, b) .. "\194\155y")
        assert.is_nil(line:find("[%z\1-\31\127]"))
        assert.is_nil(line:find("\194[\128-\159]"))
      end
    end
  end)

  it("replaces what isn't UTF-8: overlong forms, surrogates, too large, cut off", function()
    local bad = "\239\191\189"
    assert.equal(bad .. bad, sanitise.utf8("\192\128"))
    assert.equal(bad .. bad .. bad, sanitise.utf8("\237\160\128"))
    assert.equal(bad .. bad .. bad .. bad, sanitise.utf8("\244\144\128\128"))
    assert.equal("a" .. bad, sanitise.utf8("a\226"))
    assert.equal("\240\159\140\153", sanitise.utf8("\240\159\140\153"))
  end)

  it("fits the terminal's cells and never cuts a character", function()
    assert.equal("ab", sanitise.fit("abc", 2))
    assert.equal("\228\184\173", sanitise.fit("\228\184\173\230\150\135", 3))
    assert.equal("\195\188\195\188", sanitise.fit("\195\188\195\188\195\188", 2))
  end)

  it("finds the last line that says something", function()
    assert.equal("50 %", sanitise.last_line("start\n10 %\r50 %\r\n\n \n"))
    assert.is_nil(sanitise.last_line("\n\27[0m\n"))
  end)
end)

local function reporter(form, options)
  local out, now = {}, 0
  options = options or {}
  options.clock = function() return now end
  local made = report.new(form, function(text) out[#out + 1] = text end, options)
  return made, function() return table.concat(out) end, function(seconds) now = now + seconds end
end

local STARTED = { event = "task_started", task = "T", pipeline = "p", policy = "codex", steps = { "clone", "verify" } }
local RESULT = { event = "result", task = "T", state = "passed", code = 0, seconds = 61, record = "/r/T" }

describe("a report", function()
  it("in JSON is the event lines and nothing else", function()
    local made, text = reporter "json"
    made:event(STARTED)
    made:event { event = "step_started", step = "clone", try = 1 }
    made:output("noise\n")
    made:tick()
    local lines = {}
    for line in text():gmatch("([^\n]*)\n") do lines[#lines + 1] = json.decode(line).event end
    assert.same({ "task_started", "step_started" }, lines)
  end)

  it("in plain has a line per change, and the summary", function()
    local made, text = reporter "plain"
    made:event(STARTED)
    made:event { event = "step_started", step = "clone", try = 1 }
    made:output("Cloning\n")
    made:event { event = "step_ended", step = "clone", state = "passed", code = 0, seconds = 0.42 }
    made:event { event = "gave", kind = "patch", path = "/workspace", file = "/r/T/workspace.patch", bytes = 9, files = 1,
      added = 2, removed = 3 }
    made:event { event = "network", hosts = 2, denied = 1, sentence = "2 hosts, 1 denied: \27[2Jevil" }
    made:event(RESULT)
    assert.equal("task T: p under policy codex\n  started clone\n  passed  clone   0.42 s\n"
      .. "task T passed in 1 min 01 s\nsteps   clone 0.42 s\nnetwork 2 hosts, 1 denied: evil\nrecord  /r/T\n"
      .. "patch   /r/T/workspace.patch  (1 file, +2 -3)\n", text())
  end)

  it("shows the end of a failed step's output, sanitised", function()
    local made, text = reporter "plain"
    made:event(STARTED)
    made:event { event = "step_started", step = "verify", try = 1 }
    for i = 1, 30 do made:output("line " .. i .. "\27[31m!\r\n") end
    made:event { event = "step_ended", step = "verify", state = "failed", code = 3, seconds = 1, sentence = "it broke" }
    assert.truthy(text():find("failed  verify  1.0 s  (exit code 3)\n          | line 11!\n", 1, true))
    assert.truthy(text():find("| line 30!\n          it broke\n", 1, true))
    assert.is_nil(text():find("\27", 1, true))
    assert.is_nil(text():find("line 10!", 1, true))
  end)

  it("on a terminal redraws one line with elapsed time and the last line of output", function()
    local made, text, pass = reporter("terminal", { columns = function() return 40 end })
    made:event(STARTED)
    made:event { event = "step_started", step = "clone", try = 1 }
    pass(2)
    made:output("hostile \27[2J\27]0;x\7output that is longer than the terminal is wide\n")
    local live = text():match("\r\27%[K([^\r]*)$")
    assert.equal("  ...     clone   2.0 s  | hostile outp", live)
    made:event { event = "step_ended", step = "clone", state = "passed", code = 0, seconds = 2 }
    assert.truthy(text():find("\r\27[K  passed  clone   2.0 s\n", 1, true))
    assert.is_nil(text():find("\27[2J", 1, true))
  end)

  it("redraws at most ten times a second, and goes on while a step is silent", function()
    local made, text, pass = reporter("terminal", {})
    made:event(STARTED)
    made:event { event = "step_started", step = "clone", try = 1 }
    for _ = 1, 100 do
      pass(0.01)
      made:tick()
    end
    local _, drawn = text():gsub("\r\27%[K", "")
    assert.is_true(drawn >= 9 and drawn <= 11, "drawn " .. drawn .. " times")
  end)

  it("tells durations as people do", function()
    assert.equal("0.05 s", report.duration(0.05))
    assert.equal("12.3 s", report.duration(12.34))
    assert.equal("1 min 00 s", report.duration(59.96))
    assert.equal("1 h 02 min", report.duration(3725))
  end)
end)
