-- What commands of a sandbox by id wrote is kept, within bounds, and shown by `moonbox logs`.
local box = require "support.box"
local json = require "moonbox.json"
local moonbox = require "moonbox"

local sys = require("moonbox.core").sys

local HEAD, TAIL, SLOTS = 192 * 1024, 32 * 1024, 256

describe("the logs of a sandbox", function()
  local made

  local function run(...)
    return box.shell(box.program .. " " .. box.words { ... } .. " </dev/null")
  end

  local function events(...)
    local out = {}
    for line in run("logs", "--json", made.id, ...).stdout:gmatch("[^\n]+") do out[#out + 1] = json.decode(line) end
    return out
  end

  local function kinds(list)
    local out = {}
    for i, event in ipairs(list) do out[i] = event.event end
    return table.concat(out, " ")
  end

  -- Bytes of all files of the logs.
  local function size()
    local sum = 0
    for _, name in ipairs(sys.list(made.path .. "/logs")) do sum = sum + sys.lstat(made.path .. "/logs/" .. name).size end
    return sum
  end

  setup(box.enter)
  teardown(function() box.leave() end)
  before_each(function() made = assert(moonbox.create { policy = "offline" }) end)
  after_each(function() made:destroy() end)

  it("have each command's beginning, output and end", function()
    run("exec", made.id, "--", "sh", "-c", "echo one; echo two >&2; printf three; exit 3")
    run("exec", made.id, "--", "no-such-program")
    run("exec", made.id, "--timeout", "1s", "--", "sh", "-c", "kill -9 $$")
    run("exec", made.id, "--timeout", "1s", "--", "sleep", "100")
    local text = run("logs", made.id).stdout:gsub("%d+%-%d+%-%d+T%S+Z", "TIME"):gsub("after %d+%.%d s", "after N s")
    assert.equal([=[
[1] TIME $ sh -c 'echo one; echo two >&2; printf three; exit 3'
[1] one
[1] two
[1] three
[1] TIME exit 3 after N s
[2] TIME $ no-such-program
[2] TIME exit 127 after N s: no-such-program: no such program in the sandbox's PATH
[3] TIME $ sh -c 'kill -9 $$'
[3] TIME killed by signal 9 after N s
[4] TIME $ sleep 100
[4] TIME ended at its time limit after N s
]=], (text:gsub("%[1%] two\n%[1%] one\n", "[1] one\n[1] two\n")))
    local list = events("1")
    assert.same({ "sh", 1, 3 }, { list[1].argv[1], list[1].command, list[#list].code })
    local written = {}
    for _, event in ipairs(list) do
      if event.event == "output" then written[event.stream] = (written[event.stream] or "") .. event.text end
    end
    assert.same({ stdout = "one\nthree", stderr = "two\n" }, written)
    assert.equal("sleep 100", run("logs", made.id, "4").stdout:match("%$ ([^\n]*)"))
    assert.equal(64, run("logs", made.id, "x").code)
    assert.equal(0, run("stop", "--grace", "0s", made.id).code)
    assert.matches("[1] one", run("logs", made.id).stdout, 1, true)
  end)

  it("have the beginning and the end of a long output, and count what is left out", function()
    local bytes = 3 * 2 ^ 20
    local outcome = made:exec { run = { "sh", "-c", ("echo first; yes | head -c %d; echo last"):format(bytes) }, keep = 10 }
    assert.equal(0, outcome.code)
    local kept, left = {}, 0
    for _, event in ipairs(events()) do
      if event.event == "output" then kept[#kept + 1] = event.text end
      if event.event == "left_out" then left = left + event.count end
    end
    local text = table.concat(kept)
    assert.matches("^first\ny\n", text)
    assert.matches("y\nlast\n$", text)
    assert.equal(#"first\nlast\n" + bytes, #text + left)
    assert.is_true(#text > HEAD and size() <= HEAD + 2 * TAIL + 1024, size())
  end)

  it("have the last commands only, and what earlier ones wrote never passes for a later one's", function()
    -- Whatever a command writes into its place: lines that look like a record.
    local forged = "while [ $i -lt 3000 ]; do echo 'E 0000000000000000 0 1.000000 6'; echo '0 0 0 '; i=$((i+1)); done"
    made:exec { run = { "sh", "-c", "i=0; " .. forged } }
    for _ = 1, SLOTS + 20 do assert.equal(0, made:exec({ run = { "/bin/true" } }).code) end
    local list = events()
    assert.equal(22, list[1].command)
    assert.equal(2 * SLOTS, #list)
    local again = events(tostring(SLOTS + 1)) -- in the place of the first
    assert.equal("started ended", kinds(again))
    assert.is_true(size() < SLOTS * 1024 + HEAD + 2 * TAIL)
  end)

  it("are followed while commands run, also when much was written before", function()
    local out = box.home .. "/followed"
    box.shell(("%s logs -f %s > %s & %s exec %s -- sh -c 'yes | head -c 1000000; echo; echo now; sleep 100' >/dev/null &"):format(
      box.program, made.id, out, box.program, made.id))
    assert.is_true(box.wait_for(function() return (box.read(out) or ""):find("[1] now\n", 1, true) ~= nil end, 20))
    assert.is_nil(box.read(out):find("exit", 1, true))
    made:stop(0)
    assert.is_true(box.wait_for(function()
      return box.read(out):find("%[1%] %S+ exit 137 after [%d.]+ s: the sandbox was stopped") ~= nil
    end, 20))
    assert.is_true(box.wait_for(function() return box.shell("pgrep -f 'logs [-]f " .. made.id .. "'").stdout == "" end, 20))
  end)

  it("say what there was no room for, and do not hold up the command", function()
    local function limited(blocks, script, through)
      return box.shell(("(ulimit -f %d; %s exec %s -- sh -c %s </dev/null 2>&1) | %s"):format(blocks, box.program, made.id,
        box.quote(script), through)).stdout
    end
    local number = #events() == 0 and 0 or events()[#events()].command
    assert.equal("100000\n", limited(100, "yes | head -c 100000; exit 3", "wc -c"))
    local list, there, missing = events(tostring(number + 1)), 0, 0
    for _, event in ipairs(list) do
      there, missing = there + #(event.text or ""), missing + (event.count or 0)
    end
    assert.is_true(there > 20000 and missing > 20000, there .. " and " .. missing)
    assert.equal(100000, there + missing)
    assert.same({ "ended", 3 }, { list[#list].event, list[#list].code })
    local none = limited(0, "echo one", "cat")
    assert.matches("moonbox: keep the log of a command in [^\n]*: File too large\n", none)
    assert.matches("one\n", none)
    assert.same({}, events(tostring(number + 2)))
  end)

  it("say when nobody saw a command's end", function()
    box.shell(("%s exec %s -- sh -c 'echo begun; sleep 100' > %s/out & pid=$!; while [ ! -s %s/out ]; do sleep 0.05; done; kill -9 $pid")
      :format(box.program, made.id, box.home, box.home))
    assert.is_true(box.wait_for(function() return kinds(events()) == "started output lost" end, 10))
  end)

  it("show no control bytes, and have no terminal's screen, no file request, and nothing that was not to be kept", function()
    run("exec", made.id, "--", "printf", "a\\033[31mb\\007c\\n")
    assert.matches("[1] abc\n", run("logs", made.id).stdout, 1, true)
    assert.equal("moonbox: ???31m: no such program in the sandbox's PATH\n",
      run("exec", made.id, "--", "\27\194\15531m", "2").stderr)
    run("exec", made.id, "--no-log", "--", "echo", "secret")
    assert.equal("secret\n", made:exec({ run = { "echo", "secret" }, log = false }).stdout)
    assert(made:write("/workspace/x", "secret"))
    assert.equal("secret", made:read("/workspace/x"))
    box.shell(("script -qec '%s exec %s -it -- echo secret' /dev/null </dev/null"):format(box.program, made.id))
    local list = events("3")
    assert.equal("started ended", kinds(list))
    assert.equal(2, #events() - #events("1") - #events("2"))
  end)
end)
