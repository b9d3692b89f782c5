-- `moonbox exec` begins its sandbox from what its policy came to last time (core/head_start), and uses it only when the
-- policy comes to the same again. What is kept decides nothing.
local box = require "support.box"
local mode = require "support.mode"
local runs = require "support.runs"

local core = require "moonbox.core"

local sys = core.sys

describe("a head start", function()
  local policy, hosted

  local function write(path, text) assert(sys.write_file(path, text)) end

  -- A policy in memory that shows one folder of the host, or hides it.
  local function rule(shown)
    write(policy, ([[return policy "p" { extends = "base", files = { storage = "memory", %s } }]]):format(
      shown and ("bind { %q, at = \"/mnt/given\" }"):format(hosted) or ""))
  end

  local function kept()
    local found = box.shell("ls " .. runs.quote(box.state) .. "/cache/start-* 2>/dev/null").stdout
    return found:match("[^\n]+")
  end

  local function exec(command, options)
    return box.exec(options or { "--policy", policy }, command or { "cat", "/mnt/given/file" })
  end

  before_each(function()
    box.enter()
    policy, hosted = box.home .. "/p.lua", box.home .. "/hosted"
    box.shell("mkdir -p " .. hosted .. " && echo shown > " .. hosted .. "/file && chmod -R a+rX " .. box.home)
    rule(true)
  end)

  after_each(function() box.leave() end)

  it("is kept by the first command, and taken by those that follow", function()
    assert.equal("shown\n", exec().stdout)
    local path = assert(kept(), "nothing is kept")
    local identity = sys.identity(path)
    for _ = 1, 3 do assert.equal("shown\n", exec().stdout) end
    assert.equal(identity, sys.identity(path))
    assert.equal("-rw-------", box.shell("stat -c %A " .. path).stdout:gsub("\n", ""))
    if (os.getenv("MOONBOX_SANITIZER") or "") == "" then
      local program = "MOONBOX_FAIL='head start:take=crash' build/failpoints/moonbox exec --policy "
      program = program .. policy .. " -- echo ran </dev/null"
      box.shell(program:gsub("^%S+ %S+ ", "")) -- it keeps a plan of its own
      assert.is_true(box.wait_for(function() return box.shell(program).code ~= 0 end, 10), "it was never taken")
    end
  end)

  it("is not taken for other values of the policy's parameters, nor is what its file came to with them", function()
    local other = box.home .. "/other"
    box.shell(("mkdir -p %s && echo other > %s/file && chmod a+rX %s %s/file"):format(other, other, other, other))
    write(policy, ([[return policy "p" { extends = "base", needs = { dir = text { default = "%s" } },
      files = { storage = "memory", bind { "$dir", at = "/mnt/given" } } }]]):format(hosted))
    sys.sleep(3.5) -- younger files are not kept (moonbox.policy_cache)
    for _ = 1, 3 do
      assert.equal("shown\n", exec().stdout)
      assert.equal("other\n", exec(nil, { "--policy", policy, "--dir=" .. other }).stdout)
    end
    local typo = exec(nil, { "--policy", policy, "--dri=" .. other })
    assert.same({ 64, "" }, { typo.code, typo.stdout })
    assert.matches('p.lua:1: the policy "p" has no parameter --dri; did you mean --dir?', typo.stderr, 1, true)
  end)

  it("is not used when the policy says something else", function()
    assert.equal("shown\n", exec().stdout)
    assert.equal("shown\n", exec().stdout)
    rule(false)
    for _ = 1, 3 do
      local refused = exec()
      assert.equal(1, refused.code)
      assert.equal("", refused.stdout)
    end
    rule(true)
    assert.equal("shown\n", exec().stdout)
  end)

  it("is not used for other options that change the plan", function()
    rule(false)
    assert.equal(1, exec().code)
    assert.equal(1, exec().code)
    assert.equal("shown\n", exec(nil, { "--policy", policy, "--bind", hosted .. ":/mnt/given" }).stdout)
    assert.equal(1, exec().code)
  end)

  local spoilt = {
    ["empty"] = ": > $f",
    ["cut short"] = "truncate -s 900 $f",
    ["longer"] = "echo more >> $f",
    ["noise"] = "head -c 4096 /dev/urandom > $f",
    ["noise behind a true head"] = "head -c 80 $f > $f.2 && head -c 4096 /dev/urandom >> $f.2 && mv $f.2 $f && chmod 600 $f",
    ["a link"] = "mv $f $f.2 && ln -s $f.2 $f",
    ["a fifo"] = "rm $f && mkfifo $f",
    ["a directory"] = "rm $f && mkdir $f",
    ["open to others"] = "chmod 666 $f",
    ["huge"] = "truncate -s 3G $f",
  }
  for what, how in pairs(spoilt) do
    it("is worth nothing when what is kept is " .. what, function()
      assert.equal("shown\n", exec().stdout)
      box.shell("f=" .. runs.quote(assert(kept())) .. "; " .. how)
      for _ = 1, 2 do assert.equal("shown\n", exec().stdout) end
    end)
  end

  it("of another user is not believed", function()
    mode.need("root", "only root can give files away")
    assert.equal("shown\n", exec().stdout)
    box.shell("chown 12345 " .. runs.quote(assert(kept())))
    for _ = 1, 2 do assert.equal("shown\n", exec().stdout) end
  end)

  it("leaves nothing when the policy has become wrong, is another, or can't be read", function()
    assert.equal(0, exec().code)
    assert.equal(0, exec().code)
    local function processes()
      return box.shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null; done | grep -c '^moonbox-init'").stdout
    end
    local before = processes()
    write(policy, "return nonsense")
    assert.equal(65, exec().code)
    assert.equal(before, processes())
    os.remove(policy)
    assert.equal(65, exec().code)
    assert.equal(before, processes())
    assert.equal("", box.shell("ls -A " .. runs.quote(box.state) .. "/boxes").stdout)
  end)

  it("that is ended leaves signals as they were", function()
    assert.equal(0, exec().code)
    write(policy, "while true do end")
    local done = box.shell(box.line({ "--policy", policy }, { "true" })
      .. " </dev/null & pid=$!; sleep 0.3; kill -TERM $pid; wait $pid")
    assert.equal(143, done.code, "it goes on reading the policy")
  end)

  it("keeps what binds the program to its parent", function()
    mode.need("setpriv", "setpriv sets a parent-death signal")
    assert.equal(0, exec({ "true" }).code)
    local line = box.line({ "--policy", policy, "--time", "20" }, { "sleep", "19.5" })
    local out = box.home .. "/pid"
    box.shell(("setsid sh -c 'setpriv --pdeathsig TERM %s </dev/null >/dev/null 2>&1 & echo $! > %s; sleep 1'"):format(line, out))
    local pid = box.read(out):match("%d+")
    assert.is_true(box.wait_for(function() return not sys.lstat("/proc/" .. pid) or (box.read("/proc/" .. pid .. "/stat") or "")
      :find(") Z ", 1, true) ~= nil end, 5), "it outlives its parent")
  end)

  it("keeps commands from standard descriptors that are closed", function()
    assert.equal(0, exec({ "true" }).code)
    local line = box.line({ "--policy", policy }, { "cat" })
    assert.equal(0, box.shell(line .. " <&- >/dev/null").code)
    assert.equal("", box.shell(line .. " </dev/null 2>&-").stdout)
  end)

  it("takes nothing of the caller's real-time class into the sandbox", function()
    mode.need("root", "only root may have it")
    mode.need("chrt", "chrt starts a program in a real-time class")
    local line = "chrt -f 1 " .. box.line({ "--policy", policy }, { "cut", "-d", " ", "-f", "41", "/proc/self/stat" })
    local control = box.shell("chrt -f 1 cut -d ' ' -f 41 /proc/self/stat </dev/null")
    if control.code ~= 0 then return pending "this machine gives no real-time class" end
    assert.equal("1\n", control.stdout)
    for _ = 1, 2 do
      local found = box.shell(line .. " </dev/null")
      assert.equal("0\n", found.stdout, found.stderr)
    end
  end)
end)
