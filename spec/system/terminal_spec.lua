-- A command on a terminal: its own inside, the caller's outside, and nothing that passes from the one to the other but
-- bytes (probe 30).
local box = require "support.box"
local compile = require "support.compile"

describe("on a terminal", function()
  local helpers, show

  setup(function()
    box.enter()
    helpers = compile.helpers("term", "kernel")
    show = compile.option(helpers)
  end)
  teardown(box.leave)

  -- Plays `script` (array of words for the helper) to a shell command on a pty.
  local function play(script, command)
    local result = box.shell(("%s/term %s -- sh -c %s"):format(helpers, box.words(script), box.quote(command)))
    local text, rest = result.stdout:match("^(.*)\n%-%-\n(.*)$")
    assert.equal(0, result.code, (result.stdout:gsub("%c", function(c) return c == "\n" and c or "?" end)))
    local answers = box.answers(rest)
    answers.text = text:gsub("\r", "")
    return answers
  end

  local function moonbox(command, options)
    return "exec " .. box.line(options, command)
  end

  it("all three descriptors are one, with the size of the caller's", function()
    local result = play({ "wait" }, moonbox { "sh", "-c",
      "for i in 0 1 2; do [ -t $i ] && echo tty$i; done; tty; stty size; ps -o tty= -p $$ | tr -d ' '" })
    assert.matches("tty0\ntty1\ntty2\n/dev/pts/0\n24 80\n", result.text)
    assert.same({ "0", "same", "0" }, { result.exit, result.settings, result.queued })
  end)

  it("--no-tty and pipes give none", function()
    assert.is_nil(play({ "wait" }, moonbox({ "sh", "-c", "[ -t 0 ] && echo tty0; echo end" }, { "--no-tty" })).text
      :match("tty0"))
    assert.is_nil(play({ "wait" }, box.line({}, { "sh", "-c", "[ -t 1 ] && echo tty1; echo end" }) .. " | cat").text
      :match("tty1"))
  end)

  it("exit codes pass, and the settings are restored", function()
    for _, code in ipairs { 0, 3, 137 } do
      local result = play({ "wait" }, moonbox { "sh", "-c", "stty raw -echo; exit " .. code })
      assert.same({ tostring(code), "same" }, { result.exit, result.settings })
    end
  end)

  it("a resize reaches the command", function()
    local result = play({ "expect=ready", "resize=40x132", "expect=size 40 132", "send=q", "wait" }, moonbox { "bash", "-c",
      "trap 'echo size $(stty size)' WINCH; echo ready; stty raw; for i in $(seq 600); do read -t 0.05 -n 1 && exit 7; done" })
    assert.same({ "7", "same" }, { result.exit, result.settings })
  end)

  it("Ctrl-C reaches the foreground job and no other", function()
    local result = play({ "expect=$ ", "send=sleep 301 &\\r", "expect=$ ", "send=sleep 300\\r", "sleep=0.3", "send=\\x03",
      "expect=$ ", "send=jobs; echo 'still'' here'\\r", "expect=still here", "send=exit 5\\r", "wait" },
      moonbox({ "sh", "-i" }, { "--env", "PS1=$ " }))
    assert.matches("Running +sleep 301", result.text)
    assert.same({ "5", "same" }, { result.exit, result.settings })
  end)

  it("jobs can be stopped and taken up again", function()
    local result = play({ "expect=$ ", "send=sleep 300\\r", "sleep=0.3", "send=\\x1a", "expect=Stopped", "send=bg\\r",
      "expect=$ ", "send=jobs\\r", "expect=Running", "send=kill %1; exit 0\\r", "wait" },
      moonbox({ "bash", "--norc", "-i" }, { "--env", "PS1=$ " }))
    assert.is_nil(result.text:match("no job control"))
    assert.equal("same", result.settings)
  end)

  it("the end of input (Ctrl-D) reaches the command", function()
    local result = play({ "sleep=0.3", "send=abc\\r\\x04", "wait" }, moonbox { "sh", "-c", "cat; echo end" })
    assert.matches("end\n$", result.text)
    assert.equal("0", result.exit)
  end)

  it("the settings are restored when moonbox is ended by a signal", function()
    for _, signal in ipairs { 15, 1 } do
      local result = play({ "expect=ready", "signal=" .. signal, "wait" }, moonbox { "sh", "-c", "echo ready; sleep 300" })
      assert.equal("same", result.settings, "signal " .. signal)
    end
  end)

  it("30: nothing can be pushed into a terminal, plain or with high bits", function()
    local own = box.answers((play({ "wait" }, moonbox({ "/opt/spec/kernel", "tty" }, { show }))).text)
    local piped = box.answers(box.shell(box.line({ show }, { "/opt/spec/kernel", "tty" }) .. " </dev/null").stdout)
    for _, answers in ipairs { own, piped } do
      for i = 0, 2 do
        for _, name in ipairs { "TIOCSTI", "TIOCLINUX", "TIOCSETD", "FIFREEZE", "FITRIM" } do
          assert.equal("EPERM", answers[name .. ":" .. i], name .. ":" .. i)
        end
      end
    end
    assert.equal("ok", own.TIOCSCTTY) -- it has it already
    assert.is_not.equal("ok", piped.TIOCSCTTY)
  end)

  it("30: the caller's input queue is empty afterwards, and it is not reached by /dev/tty or any number", function()
    local result = play({ "wait" }, moonbox({ "sh", "-c", "/opt/spec/kernel tty >/dev/null; ls -1 /dev/pts; "
      .. "for i in 1 2 3 4 5 6 7 8 9; do (echo injected > /dev/pts/$i) 2>/dev/null && echo wrote; done; "
      .. "printf 'to own' > /dev/tty" }, { show }))
    assert.equal("0", result.queued)
    assert.is_nil(result.text:match("wrote"))
    assert.is_nil(result.text:match("injected"))
    assert.matches("0\nptmx\nto own", result.text)
  end)

  it("30: with --no-tty a command has no terminal, and can't take the caller's", function()
    local result = play({ "wait" }, moonbox({ "sh", "-c",
      "(echo x > /dev/tty) 2>/dev/null && echo wrote; setsid sh -c '(echo x > /dev/tty) 2>/dev/null && echo wrote'; "
      .. "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2" }, { "--no-tty" }))
    assert.is_nil(result.text:match("wrote"))
    assert.is_nil(result.text:match("/dev/pts"))
  end)

  it("30: control: without a filter the call gets further", function()
    local text = play({ "wait" }, helpers .. "/kernel tty").text
    assert.is_not.equal("EPERM", box.answers(text)["TIOCSETD:0"])
  end)

  it("64 kB of typing and a flood of output don't block each other", function()
    local result = play({ "expect=go", "send=" .. ("x"):rep(60) .. "\\r", "wait" },
      moonbox { "sh", "-c", "echo go; head -c 500000 /dev/zero | tr '\\0' y | fold -w 70 | tail -3; read line; echo got $line" })
    assert.matches("got x+\n", result.text)
    assert.equal("0", result.exit)
  end)
end)
