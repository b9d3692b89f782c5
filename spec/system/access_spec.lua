-- Who reaches a sandbox by id: its owner, root, and nobody else, whoever knows its id and wherever he sits (probe 96); and
-- what is no id, name or path never gets to a file (probe 98).
local box = require "support.box"
local canaries = require "support.canary"
local json = require "moonbox.json"
local mode = require "support.mode"
local runs = require "support.runs"

local core = require "moonbox.core"

local sys = core.sys

local OTHERS = { 4321, 65534 }

-- Connects to the socket of a sandbox's folder, asks something, and prints whether there was an answer; ends with 1 when it
-- can't connect.
local ASK = [[
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
try:
    os.chdir(sys.argv[1])
    s.connect("control")
except OSError as e:
    sys.exit(e.strerror)
try:
    s.sendall(struct.pack("<IHHI", 17, int(sys.argv[2]), 0, 1) + b'{"ask":"nothing"}')
    got = s.recv(100)
    print("answer" if got else "closed")
except OSError:
    print("closed")
]]

describe("a sandbox by id", function()
  local moonbox = require "moonbox"
  local made, asker, request

  setup(function()
    box.enter()
    sys.mkdir(box.home .. "/ask", 493)
    asker = runs.write(box.home .. "/ask/ask.py", ASK)
    request = assert((box.shell("cat core/wire*.h").stdout:match("WIRE_ASK = (%d+)")))
    made = assert(moonbox.create { policy = "offline", id = "mine" })
    assert(made:write("/workspace/secret", "inside"))
  end)
  teardown(function()
    made:destroy()
    box.leave()
  end)

  local function folder() return box.state .. "/sandboxes/mine" end

  local function ask(command)
    return box.shell((command or "") .. " /usr/bin/python3 " .. box.words { asker, folder(), request } .. " </dev/null").stdout
  end

  local function as(uid) return ("setpriv --reuid=%d --regid=%d --clear-groups "):format(uid, uid) end

  local function is_whole()
    assert.equal("inside", made:read "/workspace/secret")
    assert.equal("running", made:stats().state)
  end

  -- Runs `work` while the folders let everybody through, and the socket lets everybody write.
  local function laid_open(work)
    local folders = box.words { box.state, box.state .. "/sandboxes", folder() }
    box.shell(("chmod 755 %s && chmod 666 %s/control && chmod 755 %s"):format(folders, folder(), box.home))
    local fine, message = pcall(work)
    box.shell(("chmod 700 %s && chmod 600 %s/control"):format(folders, folder()))
    assert(fine, message)
  end

  it("96: is private on disk: folders 0700, the socket and what is written 0600, ids that can't be guessed", function()
    local info = sys.lstat(folder() .. "/control")
    assert.same({ "socket", 384, sys.euid() }, { info.kind, info.mode, info.uid })
    for _, path in ipairs { folder(), box.state .. "/sandboxes", box.state } do
      info = sys.lstat(path)
      assert.same({ 448, sys.euid() }, { info.mode, info.uid }, path)
    end
    local function private(path)
      local found = sys.lstat(path)
      assert.equal(found.kind == "directory" and 448 or 384, found.mode, path)
      for _, name in ipairs(found.kind == "directory" and sys.list(path) or {}) do private(path .. "/" .. name) end
    end
    private(folder())
    local one, two = assert(moonbox.create()), assert(moonbox.create())
    assert.matches("^%x%x%x%x%x%x%x%x%x%x%x%x$", one.id) -- 48 bits of getrandom(2)
    assert.are_not.equal(one.id, two.id)
    assert(one:destroy())
    assert(two:destroy())
  end)

  it("96: answers its owner (control)", function()
    mode.need("/usr/bin/python3", "it speaks to the socket")
    assert.equal("answer\n", ask())
    laid_open(function() assert.equal("answer\n", ask()) end)
  end)

  it("96: is not another user's, by any command, also where folders and socket let him through", function()
    mode.need("root", "an ordinary user can't become another one")
    local function try(uid)
      local told = {}
      for _, words in ipairs { { "exec", "mine", "--", "cat", "/workspace/secret" }, { "inspect", "mine" }, { "stats", "mine" },
        { "events", "mine" }, { "logs", "mine" }, { "flows", "mine" }, { "posture", "mine" }, { "pause", "mine" },
        { "network", "mine", "set", "offline" }, { "cp", "mine:/workspace/secret", "/dev/stdout" },
        { "stop", "--grace", "0s", "mine" }, { "destroy", "mine" } } do
        local done = box.shell("MOONBOX_STATE=" .. box.state .. " " .. as(uid) .. box.words { box.program, unpack(words) }
          .. " </dev/null")
        assert.are_not.equal(0, done.code, words[1] .. ": " .. done.stdout)
        told[#told + 1] = done.stdout .. done.stderr
      end
      assert.is_nil(table.concat(told):find("inside", 1, true))
      assert.are_not.equal("answer\n", ask(as(uid)))
      box.shell("MOONBOX_STATE=" .. box.state .. " " .. as(uid) .. box.program .. " gc")
      is_whole()
    end
    for _, uid in ipairs(OTHERS) do
      try(uid)
      -- Control: what is laid open he can look at, and connect to; the socket then asks who he is.
      laid_open(function()
        assert.is_true(box.shell(as(uid) .. "test -w " .. folder() .. "/control").code == 0)
        assert.equal("closed\n", ask(as(uid)))
        assert.are_not.equal(0, box.shell("MOONBOX_STATE=" .. box.state .. " " .. as(uid) .. box.words { box.program, "exec",
          "mine", "--", "true" }).code)
      end)
      is_whole()
    end
  end)

  it("96: is not to be reached from inside a sandbox, not even one that its socket is shown to", function()
    mode.need("/usr/bin/python3", "it speaks to the socket")
    local inside = { "/usr/bin/python3", "/ask/ask.py", "/s/sandboxes/mine", request }
    -- Its own state folder a moonbox shows to none, so the one of another is shown here.
    local function try() return box.shell(("MOONBOX_STATE=%s/other "):format(box.home) .. box.line({ "--bind",
      box.state .. ":/s:rw", "--bind", box.home .. "/ask:/ask" }, inside) .. " </dev/null") end
    local done = try()
    assert.same({ 0, "closed\n" }, { done.code, done.stdout }, done.stderr)
    laid_open(function() assert.equal("closed\n", try().stdout) end)
    local refused = box.exec({ "--bind", box.state .. ":/s:rw" }, inside)
    assert.are_not.equal(0, refused.code)
    is_whole()
  end)

  describe("of another user or another task", function()
    local canary, theirs, home

    before_each(function() canary = canaries.plant() end)
    after_each(function()
      local wrong = canary:check()
      canary:remove()
      assert.same({}, wrong)
    end)

    -- As another user, with a state folder of his own.
    local function other(...)
      return box.shell(("MOONBOX_STATE=%s/state HOME=%s "):format(home, home) .. as(OTHERS[1]) .. box.words { box.program, ... }
        .. " </dev/null")
    end

    it("96: two users can't see, signal, trace, enter or read each other's", function()
      mode.need("root", "an ordinary user can't become another one")
      home = box.home .. "/his"
      sys.mkdir(home, 448)
      box.shell(("chown %d:%d %s && chmod 755 %s"):format(OTHERS[1], OTHERS[1], home, box.home))
      local created = other("create", "--id", "his", "--policy", "base")
      assert.equal(0, created.code, created.stderr)
      assert.equal(0, other("exec", "his", "--", "sh", "-c", "echo his > /workspace/x; sleep 600 >/dev/null 2>&1 &").code)
      theirs = assert(json.decode(other("inspect", "his").stdout))
      local helpers = require("support.compile").helpers("process")
      local tree = require("moonbox.process").children()
      local list = { theirs.pid }
      for _, pid in ipairs(require("moonbox.process").inside(tree, theirs.pid)) do list[#list + 1] = pid end
      assert.is_true(#list >= 3)
      for _, pid in ipairs(list) do
        local answers = box.answers(box.shell(("%s %s/process target %d"):format(as(OTHERS[2]), helpers, pid)).stdout)
        -- Everybody may have a pidfd, which is good for nothing then, and open some of what shows nothing.
        for _, name in ipairs { "kill", "tgkill", "open:mem", "open:environ", "open:fd", "open:root/etc/passwd",
          "readlink:exe", "readlink:ns/mnt", "vm_readv", "ptrace-seize", "pidfd_getfd", "pidfd_signal", "setns" } do
          assert.is_truthy(answers[name] and answers[name] ~= "ok", name .. " " .. tostring(answers[name]))
        end
      end
      local shown = "cat /proc/%d/maps /proc/%d/environ /proc/%d/auxv /proc/%d/stack 2>/dev/null"
      assert.equal("", box.shell(as(OTHERS[2]) .. shown:gsub("%%d", ("%d"):format(theirs.pid))).stdout)
      for _, path in ipairs { home, theirs.path or home .. "/state" } do
        assert.are_not.equal(0, box.shell(as(OTHERS[2]) .. "ls " .. path).code)
      end
      -- Control: he himself can.
      local own = box.answers(box.shell(("%s %s/process target %d"):format(as(OTHERS[1]), helpers, theirs.pid)).stdout)
      assert.same({ "ok", "ok" }, { own.kill, own["open:environ"] })
      assert.equal("his\n", other("exec", "his", "--", "cat", "/workspace/x").stdout)
      assert.equal(0, other("destroy", "his").code)
    end)

    it("96: two tasks can't see, signal, trace or read each other's", function()
      local second = assert(moonbox.create { policy = "base" })
      assert(second:exec { run = { "sh", "-c", "echo his > /workspace/x; MOONBOX_CANARY=his sleep 601 >/dev/null 2>&1 &" } })
      local pids = box.shell("pgrep -x -f 'sleep 601'").stdout
      local first = canary:process()
      local script = ([[cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n' | grep -c -e 'sleep 60[1]' -e '[h]is'
        for p in %s %d; do kill -9 $p 2>/dev/null && echo killed $p; cat /proc/$p/root/workspace/x 2>/dev/null; done
        kill -9 -1; true]]):format(pids:gsub("\n", " "), first)
      local outcome = made:exec { run = { "sh", "-c", script } }
      assert.equal("0\n", outcome.stdout)
      assert.equal(pids, box.shell("pgrep -x -f 'sleep 601'").stdout)
      assert.equal("his\n", second:read "/workspace/x")
      assert(second:destroy())
      is_whole()
    end)
  end)

  describe("is named by an id", function()
    local NAMES = { "..", ".", "/", "a/b", "../mine", "mine/", "mine/.", "./mine", "%2e%2e%2fmine", "..%2fmine", "-x", "--id",
      "", " ", "mine ", "mine\n", "Mine", "m\195\174ne", "\239\188\141", "\226\128\174", "mine\\", "*", "m?ne", "~", "$HOME",
      ("a"):rep(41), ("a"):rep(4096), "control", ".new-1", ".gone-1", ".corrupt-mine" }
    -- Folders where a name that is a path would lead to.
    local ONE = { inspect = {}, posture = {}, stats = {}, events = {}, logs = {}, pause = {}, resume = {}, stop = {}, destroy = {},
      exec = { "--", "true" }, network = { "set", "offline" } }

    -- But for compiled policies and the locks of ids, which stay on purpose.
    local function listing()
      return box.shell("cd " .. box.home .. " && find . \\( -path ./state/cache -o -path ./state/ids \\) -prune -o -print | sort")
        .stdout
    end

    it("98: and by nothing else, in every command: nothing is made, read or removed by such a name", function()
      local before = listing()
      for _, name in ipairs(NAMES) do
        local id = box.shell(box.words { box.program, "create", "--id=" .. name }.. " </dev/null")
        if name == "control" then
          assert.equal(0, id.code) -- a word like any other
          assert.equal(0, box.shell(box.words { box.program, "destroy", name }).code)
        else
          assert.equal(64, id.code, "create " .. name:sub(1, 50))
        end
      end
      for command, more in pairs(ONE) do
        for _, name in ipairs(NAMES) do
          local line = { box.program, command, name }
          for _, word in ipairs(more) do line[#line + 1] = word end
          local done = box.shell(box.words(line) .. " </dev/null")
          assert.is_true(done.code == 64 or done.code == 125, command .. " " .. name:sub(1, 50) .. ": " .. done.code)
          assert.is_nil(done.stderr:gsub("\n$", ""):find("%c"), "a name's control bytes are shown")
        end
      end
      assert.equal(before, listing())
      is_whole()
    end)

    it("98: and by nothing else, from Lua: not with a NUL, and not as another type", function()
      local sandboxes = require "moonbox.sandboxes"
      for _, name in ipairs { "mine\0", "mine\0x", "\0", "../mine", 7, true, {}, ("x"):rep(4096) } do
        for _, call in ipairs { function() return moonbox.create { id = name } end, function() return moonbox.open(name) end } do
          local got, sentence, code = call()
          assert.same({ nil, 64 }, { got, code })
          assert.is_string(sentence)
        end
        assert.has_error(function() sandboxes.dir(name) end)
        assert.has_error(function() sandboxes.remove(name) end)
      end
      is_whole()
    end)

    it("98: with paths inside that are absolute and no more than paths, and variables that have names", function()
      for _, path in ipairs { "relative", "../x", "", "/workspace/\0/x", ("/x"):rep(4096) } do
        for _, call in ipairs { "read", "list" } do
          local got, sentence = made[call](made, path)
          assert.is_nil(got)
          assert.is_string(sentence)
        end
        assert.is_nil((made:write(path, "x")))
        assert.is_nil((made:copy_out(path, box.home .. "/out")))
      end
      for _, cwd in ipairs { "relative", "../..", "/nosuch", ("/x"):rep(2000) } do
        assert.equal(126, made:exec({ run = { "true" }, cwd = cwd }).code)
      end
      for _, word in ipairs { "=x", "", "A", "1A=b", "A B=c", "A-B=c" } do
        local done = box.shell(box.words { box.program, "exec", "mine", "--env", word, "--", "true" } .. " </dev/null")
        assert.equal(word == "A" and 64 or done.code, done.code)
      end
      assert.is_nil(sys.lstat(box.home .. "/out"))
      is_whole()
    end)

    it("98: and a task by its own, a policy and a pipeline by a name or a path", function()
      local before = listing()
      for _, name in ipairs { "..", "../x", "a/b", "%2e%2e", ("a"):rep(4096), "x\ny" } do
        for _, line in ipairs { { "flows", name }, { "run", name }, { "exec", "--policy", name, "--", "true" },
          { "explain", name }, { "plan", name } } do
          local done = box.shell(box.words { box.program, unpack(line) } .. " </dev/null")
          assert.is_true(done.code >= 64 and done.code <= 125, line[1] .. " " .. name:sub(1, 50) .. ": " .. done.code)
        end
      end
      assert.equal(before, listing())
    end)
  end)
end)
