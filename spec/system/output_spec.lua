-- A flood of output is bounded, told, and holds nobody up (probe 91).
local box = require "support.box"
local compile = require "support.compile"
local limited = require "support.limited"
local runs = require "support.runs"

local MB = 2 ^ 20

-- Bytes of the floods of a sandbox by id.
local MUCH = os.getenv("MOONBOX_LONG") == "1" and 10240 * MB or 200 * MB

describe("output", function()
  local opened

  setup(box.enter)
  teardown(box.leave)
  before_each(function() opened = box.open(box.plan()) end)
  after_each(function() opened:close() end)

  local FLOOD = "head -c %d /dev/zero | tr '\\0' x; printf end"

  it("91: that is short is kept whole, on both streams", function()
    local outcome = box.inside(opened, "printf a; printf b >&2")
    assert.equal("a", outcome.stdout)
    assert.equal("b", outcome.stderr)
    assert.equal(0, outcome.dropped)
  end)

  it("91: that just fits is whole as well", function()
    local outcome = box.inside(opened, "printf 1234567890", { keep = 10 })
    assert.equal("1234567890", outcome.stdout)
    assert.equal(0, outcome.dropped)
  end)

  it("91: that is long loses its middle, which is counted", function()
    local outcome = box.inside(opened, "printf begin;" .. FLOOD:format(200 * MB), { keep = 100 })
    assert.equal(200 * MB + 8 - 100, outcome.dropped)
    assert.equal(("begin%s\nmoonbox: %.0f bytes were left out here\n%send"):format(("x"):rep(70), outcome.dropped,
      ("x"):rep(22)), outcome.stdout)
    assert.equal(0, outcome.code)
  end)

  it("91: is bounded in a log file too", function()
    local log = box.home .. "/log"
    local outcome = box.inside(opened, FLOOD:format(50 * MB), { stdout = { log = log, keep = MB } })
    local text = box.read(log)
    assert.equal(0, outcome.code)
    assert.is_true(#text < MB + 100, #text)
    assert.matches("x\nmoonbox: %d+ bytes were left out here\nx+end$", text)
    assert.equal(50 * MB + 3 - MB, outcome.dropped)
  end)

  it("91: of which nothing is to be kept is dropped in silence", function()
    local outcome = box.inside(opened, FLOOD:format(MB), { keep = 0 })
    assert.equal("", outcome.stdout)
    assert.equal(MB + 3, outcome.dropped)
  end)

  it("that standard output or error has no room for is told of, and ends with 69 what would have been a success", function()
    assert.same({ code = 0, stdout = "full\n", stderr = "" }, box.shell("build/moonbox create --id full"))
    local CUT = "moonbox: what %s is cut short: standard output: No space left on device\n"
    local commands = { "exec -- echo x", "exec --time 60 -- echo x", "exec full -- echo x", "exec full --no-log -- echo x",
      "plan offline", "explain offline", "help", "list", "run hello" }
    for _, command in ipairs(commands) do
      local sentence = CUT:format(command:find("^exec") and "the command wrote" or "was printed")
      local done = box.shell("build/moonbox " .. command .. " >/dev/full")
      assert.same({ 69, sentence }, { done.code, done.stderr }, command)
      assert.equal(0, box.shell("build/moonbox " .. command).code, command)
      -- Whoever reads no more wants no more.
      assert.equal("", box.shell("build/moonbox " .. command .. " | true").stderr, command)
    end
    assert.equal(69, box.shell("build/moonbox exec -- sh -c 'echo x >&2' 2>/dev/full").code)
    assert.equal(3, box.shell("build/moonbox exec -- sh -c 'echo x; exit 3' >/dev/full").code)
    assert.equal(0, box.shell("build/moonbox destroy full").code)
  end)

  it("91: without end neither holds up the clock nor grows the supervisor", function()
    local before = runs.resident()
    local outcome = box.inside(opened, "yes & yes >&2 & sleep 60", { time = 1.5, keep = MB })
    assert.equal(124, outcome.code)
    assert.equal("time", outcome.ended_by)
    assert.is_true(outcome.dropped > 10 * MB, outcome.dropped)
    assert.is_true(outcome.seconds < 30, outcome.seconds)
    assert.is_true(runs.resident() - before < 64 * MB, runs.resident() - before)
  end)

  -- 24 MB without a newline, of any bytes, and of what would rewrite a terminal, then a word.
  local FLOODS = { ["without a newline"] = "head -c 25165824 /dev/zero | tr '\\0' x; printf end",
    ["of any bytes"] = "head -c 25165824 /dev/urandom; printf end",
    ["of escape sequences"] = [[yes "$(printf '\033[2J\033]0;x\007\033[8m')" | head -c 25165824; printf end]] }

  for name, script in pairs(FLOODS) do
    it(("91: %s is bounded, counted and told of"):format(name), function()
      local events = {}
      opened.on_event = function(event) events[#events + 1] = event end
      local before = runs.resident()
      local outcome = box.inside(opened, script, { keep = MB })
      assert.equal(0, outcome.code)
      assert.is_true(#outcome.stdout < MB + 100 and outcome.stdout:match("end$") ~= nil, #outcome.stdout)
      assert.equal(23 * MB + 3, outcome.dropped)
      local told
      for _, event in ipairs(events) do told = event.event == "notice" and event or told end
      assert.equal(outcome.dropped, told and told.dropped)
      assert.matches("^the command wrote more than is kept: %d+ bytes", told.sentence)
      assert.is_true(runs.resident() - before < 32 * MB)
    end)

    it(("91: %s, on a terminal that nobody reads, does not hold up the clock"):format(name), function()
      local mark = "flood" .. require("moonbox.core").sys.random_hex(6)
      -- The terminal's other end takes a megabyte and no more.
      local line = compile.helpers("term") .. "/term sleep=40 -- " .. box.line({ "--time", "3", "--env",
        "MOONBOX_SPEC_MARK=" .. mark }, { "sh", "-c", "while :; do " .. script .. "; done" })
      local pid = tonumber(box.shell(line .. " </dev/null >/dev/null 2>&1 & echo $!").stdout)
      finally(function() box.shell("kill -KILL " .. pid) end)
      assert.is_true(box.wait_for(function() return limited.alive(mark) > 0 end, 20), "control: it did not run")
      assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, 20))
      local children = box.shell("cat /proc/" .. pid .. "/task/" .. pid .. "/children").stdout
      local resident = runs.resident(children:match("%d+"))
      assert.is_true(resident > 0 and resident < 64 * MB, resident)
    end)
  end

  it("91: that is all kept is no event (control)", function()
    local events = {}
    opened.on_event = function(event) events[#events + 1] = event.event end
    box.inside(opened, "printf short")
    assert.is_nil(table.concat(events, " "):match("notice"))
  end)

  it("91: of a sandbox by id that a client does not read holds up neither its supervisor nor another client", function()
    local function moonbox(line) return box.shell(box.program .. " " .. line .. " </dev/null") end
    assert.equal(0, moonbox("create --id flood").code)
    finally(function() moonbox("destroy flood") end)
    local supervisor = moonbox("inspect flood").stdout:match('\n  "pid": (%d+)')
    local before = runs.resident(supervisor)
    assert.is_true(before > 0)
    -- Two clients stand still: one whose reader does, one that is stopped itself.
    local flood = box.program .. " exec flood -- sh -c 'yes & yes >&2' </dev/null"
    box.shell(("(%s 2>&1 | sleep 20) >/dev/null 2>&1 &"):format(flood))
    local stopped = tonumber(box.shell(("%s >/dev/null 2>&1 & echo $!"):format(flood)).stdout)
    os.execute("sleep 0.5")
    box.shell("kill -STOP " .. stopped)
    finally(function() box.shell("kill -KILL " .. stopped) end)
    for _ = 1, 5 do
      local answer = moonbox("exec flood -- echo fine")
      assert.same({ 0, "fine\n" }, { answer.code, answer.stdout })
      os.execute("sleep 0.2")
    end
    assert.is_true(runs.resident(supervisor) - before < 32 * MB, runs.resident(supervisor) - before)
    assert.equal(0, moonbox("stop --grace 0 flood").code)
  end)

  it("91: that nobody reads waits, and the time limit still holds", function()
    local result = box.shell("(" .. box.line({ "--time", "1" }, { "yes" }) .. "; echo code $? >&2) | sleep 4")
    assert.matches("time limit of 1 s reached", result.stderr)
    assert.matches("code 124", result.stderr)
  end)

  describe("of a sandbox by id", function()
    local made, supervisor

    setup(function()
      made = assert(require("moonbox").create { policy = "offline" })
      supervisor = ("%d"):format(require("moonbox.sandboxes").read(made.path).pid)
    end)
    teardown(function() made:destroy() end)

    local function resident() return runs.resident(supervisor) end

    it("91: is bounded where it is kept, told, and never passes through the supervisor", function()
      local before = resident()
      local outcome = assert(made:exec { run = { "sh", "-c", "printf begin;" .. FLOOD:format(MUCH) }, keep = 100 })
      assert.equal(0, outcome.code)
      assert.equal(MUCH + 8 - 100, outcome.dropped)
      outcome = assert(made:exec { run = { "sh", "-c", ("head -c %d /dev/urandom | tee /dev/stderr"):format(MUCH / 4) }, keep = 1000 })
      assert.equal(MUCH / 2 - 2000, outcome.dropped)
      assert.is_true(resident() - before < 4 * MB, resident() - before)
    end)

    it("91: on a terminal that nobody reads any more leaves the supervisor and the clock alone, too", function()
      local before = resident()
      local term = compile.helpers("term") .. "/term wait -- " -- reads a megabyte and no more
      local pid = box.shell(term .. box.words { box.program, "exec", made.id, "-it", "--timeout", "3s", "--", "sh", "-c",
        "head -c 100000 /dev/urandom; while :; do printf '\\033[2J\\033]0;x\\007'; done" }
        .. " </dev/null >/dev/null 2>&1 & echo $!").stdout
      assert.is_true(box.wait_for(function() return made:stats().commands > 0 end, 20))
      assert.equal("heard\n", made:exec({ run = { "echo", "heard" } }).stdout)
      assert.is_true(box.wait_for(function() return made:stats().commands == 0 end, 60))
      assert.is_true(resident() - before < 4 * MB, resident() - before)
      box.shell("kill -9 " .. pid)
    end)

    it("91: that nobody reads holds up its command, and neither the others, nor the supervisor, nor the clock", function()
      local line = box.words { box.program, "exec", made.id, "--timeout", "3s", "--", "sh", "-c", "yes & yes >&2" }
      box.shell(("(%s; echo $? > %s/code) 2>/dev/null </dev/null | sleep 600 >/dev/null & echo $! > %s/pid"):format(line, box.home,
        box.home))
      for _ = 1, 20 do
        assert.equal("heard\n", made:exec({ run = { "echo", "heard" } }).stdout)
        assert.equal("running", made:stats().state)
      end
      assert.is_true(box.wait_for(function() return made:exec({ run = { "pgrep", "-c", "yes" } }).stdout == "0\n" end, 60))
      box.shell("kill $(cat " .. box.home .. "/pid)")
      assert.equal("124\n", box.wait_for(function() return box.read(box.home .. "/code") end, 60))
    end)
  end)
end)
