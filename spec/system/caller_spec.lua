-- What a caller holds stays the caller's, whichever way a command is started: descriptors (probe 25), and secrets in its
-- environment, its arguments and its keyring (probe 26).
local box = require "support.box"
local compile = require "support.compile"
local json = require "moonbox.json"
local runs = require "support.runs"

local core = require "moonbox.core"
local ffi = require "ffi"

local sys = core.sys

ffi.cdef [[ long syscall(long number, ...); ]]

-- x86-64 and arm64 (asm/unistd.h); KEY_SPEC_PROCESS_KEYRING of keyctl(2); KEYCTL_JOIN_SESSION_KEYRING is 1.
local ADD_KEY = jit.arch == "arm64" and 217 or 248
local SESSION_KEYRING = -3

-- Lists a shell's descriptors.
local LIST = "ls -l /proc/$$/fd; true"

describe("what a caller holds", function()
  local moonbox, posture, process = require "moonbox", require "moonbox.posture", require "moonbox.process"
  local terminal

  setup(function()
    box.enter()
    terminal = compile.helpers("term") .. "/term wait -- "
  end)
  teardown(box.leave)

  describe("open (probe 25)", function()
    -- A thousand descriptors of files, directories and sockets, then the command in place of the shell.
    local HOLD = [[ulimit -n 4096; exec 3</proc 4<>/dev/udp/127.0.0.1/9
      for i in $(seq 500); do exec {a}</etc/passwd {b}</; done; exec ]]

    local function holding(command)
      return box.shell("bash -c " .. box.quote(HOLD .. command) .. " </dev/null")
    end

    -- 0, 1 and 2 and no other; `where` is what they may be.
    local function only_standard(text, where, context)
      local seen = {}
      for number, target in text:gsub("\r", ""):gmatch(" (%d+) %-> (%S*)\n") do
        seen[#seen + 1] = number
        assert.is_truthy(target == "/dev/null" or target:match(where), context .. ": " .. target)
      end
      assert.same({ "0", "1", "2" }, seen, context .. ": " .. text)
    end

    local PIPE, PTY = "^pipe:", "^/dev/pts/%d+$"

    it("25: control: a program that it starts has it all", function()
      local _, lines = holding("sh -c " .. box.quote(LIST)).stdout:gsub("\n", "")
      assert.is_true(lines > 1000)
    end)

    it("25: is not there in `moonbox exec`, with and without a terminal", function()
      only_standard(holding(box.line({}, { "sh", "-c", LIST })).stdout, PIPE, "exec")
      only_standard(holding(terminal .. box.line({}, { "sh", "-c", LIST })).stdout:match("^(.*)\n%-%-\n"), PTY, "pty")
    end)

    it("25: is not there in the steps of `moonbox run`", function()
      local path = runs.write(box.home .. "/fds.lua", ([[return pipeline "fds" { policy = "offline",
        step "one" { run = { "sh", "-c", %q } },
        step "two" { ["do"] = function(box) box:exec { "sh", "-c", %q } end } }]]):format(
        (LIST:gsub("%$", "$$")), LIST))
      local done = holding(box.words { box.program, "run", path })
      assert.equal(0, done.code, done.stderr)
      only_standard(box.shell("cat " .. box.state .. "/tasks/*/logs/01-*").stdout, PIPE, "run")
      only_standard(box.shell("cat " .. box.state .. "/tasks/*/logs/02-*").stdout, PIPE, "do")
    end)

    it("25: is in no process of a sandbox by id, in no command of it, and not in what copies files", function()
      local policy = runs.write(box.home .. "/held.lua", [[return policy "held" { extends = "base",
        network = { allow { "a.org" } }, on = { usage = function() return nil end } }]])
      local created = holding(box.words { box.program, "create", "--id", "held", "--policy", policy })
      assert.equal(0, created.code, created.stderr)
      for context, words in pairs { plain = {}, timed = { "--timeout", "60s" }, user = { "--env", "A=b", "--cwd", "/tmp" } } do
        local line = { box.program, "exec", "held" }
        for _, word in ipairs(words) do line[#line + 1] = word end
        for _, word in ipairs { "--", "sh", "-c", LIST } do line[#line + 1] = word end
        only_standard(holding(box.words(line)).stdout, PIPE, context)
      end
      only_standard(holding(terminal .. box.words { box.program, "exec", "held", "-it", "--", "sh", "-c", LIST }).stdout
        :match("^(.*)\n%-%-\n"), PTY, "by id, pty")
      assert.equal(0, holding(box.words { box.program, "cp", "/etc/passwd", "held:/workspace/in" }).code)
      local made = assert(moonbox.open "held")
      local kinds = {}
      for _, one in ipairs(assert(made:posture())) do
        kinds[one.kind] = true
        assert.same({}, one.differences, one.kind)
      end
      for _, kind in ipairs { "init", "fresh", "gateway", "hooks", "supervisor" } do assert.is_true(kinds[kind], kind) end
      assert(made:destroy())
    end)

    it("25: is not in the process of a policy's functions when a program holds it", function()
      local held = {}
      for i = 1, 900 do held[i] = io.open(i % 2 == 0 and "/etc/passwd" or "/") end
      local path = runs.write(box.home .. "/usage.lua", [[return policy "usage" { extends = "base",
        files = { storage = "memory" }, on = { usage = function() return nil end } }]])
      local opened = box.open(assert(require("moonbox.plan").load(path)))
      local hooks = box.wait_for(function() -- it takes its name a moment after it is there
        for _, pid in ipairs(process.children()[tostring(sys.pid())] or {}) do
          local look = process.look(pid)
          if look and look.status.Name == "moonbox-hooks" and not (look.descriptors or {})["3"] then return look end
        end
      end, 10)
      for _, handle in ipairs(held) do handle:close() end
      assert.same({}, posture.check_hooks(hooks, { owner = sys.euid() }).differences)
      local count = 0
      for _ in pairs(hooks.descriptors) do count = count + 1 end
      assert.equal(5, count)
      assert.is_true(opened:close())
    end)
  end)

  describe("secret (probe 26)", function()
    local secret = "canary" .. sys.random_hex(12)

    -- Looks everywhere inside, by a pattern that is not the secret itself, so that the search does not find itself.
    local SEARCH = "cat /proc/*/environ /proc/*/cmdline /proc/*/comm /proc/keys /proc/key-users /proc/self/mountinfo "
      .. "/proc/self/maps 2>/dev/null | tr '\\0' '\\n' | grep -c '[c]" .. secret:sub(2) .. "'; true"

    -- As box.words, with the secret in the environment and as an argument that is the caller's own.
    local function with_secret(...)
      return box.shell(("CANARY=%s bash -c 'shift; \"$@\"' %s %s %s </dev/null"):format(secret, secret, secret, box.words { ... }))
    end

    -- Files below the state folder that have it.
    local function written() return box.shell("grep -rl " .. secret .. " " .. box.state).stdout end

    it("26: in the environment and the arguments of `moonbox exec` and `run` is not inside, and not in records", function()
      assert.equal("0\n", with_secret(box.program, "exec", "--", "sh", "-c", SEARCH).stdout)
      local path = runs.write(box.home .. "/look.lua", ('return pipeline "look" { policy = "offline", step "s" { run = { '
        .. '"sh", "-c", %q } } }'):format(SEARCH))
      box.shell("rm -rf " .. box.state .. "/tasks")
      local done = with_secret(box.program, "run", "--json", path)
      assert.equal(0, done.code, done.stderr)
      assert.matches("^0\n", box.shell("cat " .. box.state .. "/tasks/*/logs/*").stdout)
      assert.is_nil((done.stdout .. done.stderr):find(secret, 1, true))
      assert.equal("", written())
    end)

    it("26: of who creates and of who uses a sandbox by id is not inside, in no answer and in no record", function()
      assert.equal("kept\n", with_secret(box.program, "create", "--id", "kept", "--policy", "base").stdout)
      assert.equal("0\n", with_secret(box.program, "exec", "kept", "--", "sh", "-c", SEARCH).stdout)
      assert.equal("0\n", box.shell(box.words { box.program, "exec", "kept", "--", "sh", "-c", SEARCH }).stdout)
      for _, command in ipairs { { "inspect", "kept" }, { "events", "kept" }, { "logs", "kept" }, { "list", "--json" },
        { "stats", "kept" }, { "posture", "--json", "kept" } } do
        local done = with_secret(box.program, unpack(command))
        assert.equal(0, done.code, command[1] .. done.stdout .. done.stderr)
        assert.is_nil((done.stdout .. done.stderr):find(secret, 1, true), command[1])
      end
      assert.equal("", written())
      -- Control: the supervisor itself has its creator's environment.
      local pid = json.decode(box.shell(box.words { box.program, "inspect", "kept" }).stdout).pid
      assert.is_truthy(box.read(("/proc/%d/environ"):format(pid)):find(secret, 1, true))
      assert.equal(0, with_secret(box.program, "destroy", "kept").code)
    end)

    it("26: in the caller's session keyring is not in reach", function()
      local name = "moonbox-" .. secret
      local key = tonumber(ffi.C.syscall(ADD_KEY, "user", name, ffi.cast("const char *", secret),
        ffi.cast("size_t", #secret), ffi.cast("int", SESSION_KEYRING)))
      if key < 0 then return pending("this host has no keyrings for us") end
      assert.is_truthy(box.shell("cat /proc/keys").stdout:find(name, 1, true), "control: outside it shows")
      local made = assert(moonbox.create { policy = "offline" })
      for _, exec in ipairs { function(run) return box.once(box.plan(), run) end, function(run) return made:exec { run = run } end } do
        local seen = exec { "sh", "-c", "cat /proc/keys /proc/key-users 2>/dev/null; ls -l /proc/keys" }
        assert.is_nil(seen.stdout:find("moonbox-", 1, true), seen.stdout)
      end
      assert(made:destroy())
    end)
  end)
end)
