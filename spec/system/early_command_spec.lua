-- The command of `moonbox exec` starts before Lua does while nothing has changed that its policy came from
-- (core/early_command, core/warrant), and nobody can tell but by the clock.
local box = require "support.box"
local runs = require "support.runs"

local core = require "moonbox.core"

local sys = core.sys

describe("a command that starts early", function()
  local policy, hosted, shown

  local function rule(at)
    assert(sys.write_file(policy, ([[return policy "p" { extends = "base", files = { storage = "memory",
      bind { %q, at = "/mnt/%s" } } }]]):format(shown, at)))
  end

  local function kept()
    local path = box.shell("ls " .. runs.quote(box.state) .. "/cache/start-* 2>/dev/null").stdout:match("[^\n]+")
    return path, path and box.read(path) or ""
  end

  local function has_warrant() return kept() ~= nil and select(2, kept()):find("\nfiles\n", 1, true) ~= nil end

  -- Files that changed a moment ago are not relied on.
  local function warm()
    assert.is_true(box.wait_for(function()
      box.exec({ "--policy", policy }, { "true" })
      return has_warrant()
    end, 15), "nothing is known of the policy's files")
  end

  local function exec(command) return box.exec({ "--policy", policy }, command) end

  -- The program with failpoints stops the run at the moment in which a command starts early.
  local function starts_early()
    local line = ("MOONBOX_POLICIES=policies MOONBOX_FAIL='early command:start=crash' build/failpoints/moonbox exec --policy %s"
      .. " -- true </dev/null"):format(policy)
    return box.shell(line).code == 137
  end

  local sanitized = (os.getenv("MOONBOX_SANITIZER") or "") ~= ""

  setup(function()
    box.enter()
    policy, hosted, shown = box.home .. "/p.lua", box.home .. "/hosted", box.home .. "/shown"
    box.shell(("mkdir -p %s && echo one > %s/file && chmod -R a+rX %s && ln -s %s %s"):format(hosted, hosted, box.home,
      hosted, shown))
    rule "given"
    warm()
  end)
  teardown(function() box.leave() end)

  it("starts early", function()
    if sanitized then return pending "the sanitizers' suite has no build with failpoints" end
    assert.is_true(box.wait_for(starts_early, 15))
  end)

  it("says and returns what it would without that", function()
    local function compare(line, ...)
      local command = { "sh", "-c", line, ... }
      local early = box.exec({ "--policy", policy }, command)
      local late = box.exec({ "--policy", policy, "--time", "100" }, command)
      assert.same({ late.code, late.stdout, late.stderr }, { early.code, early.stdout, early.stderr }, line)
      return early
    end
    assert.equal("one\n", compare("cat /mnt/given/file").stdout)
    assert.equal("err\n", compare("echo out; echo err >&2").stderr)
    assert.equal(3, compare("exit 3").code)
    assert.equal(143, compare("kill -TERM $$").code)
    assert.equal("late\n", compare("sleep 0.3; echo late").stdout)
    assert.equal(70000, #compare("head -c 70000 /dev/zero").stdout)
    compare("env | sort; pwd; id; umask; ulimit -a; sed 's/uid=[0-9]*//; s/gid=[0-9]*//' /proc/self/mounts | sort")
    compare "grep -v -i 'ctxt\\|^vm\\|rss\\|cpus\\|pid' /proc/self/status"
    local missing = exec { "no-such-program" }
    assert.same({ 127, "moonbox: no-such-program: no such program in the sandbox's PATH\n" }, { missing.code, missing.stderr })
  end)

  it("is told of a sandbox that could not be set up as any other is", function()
    if sanitized then return pending "the sanitizers' suite has no build with failpoints" end
    assert.is_true(box.wait_for(starts_early, 15))
    local done = box.shell(("MOONBOX_POLICIES=policies MOONBOX_FAIL='child:drop capabilities=EIO' build/failpoints/moonbox exec "
      .. "--policy %s -- echo ran </dev/null"):format(policy))
    assert.same({ 125, "" }, { done.code, done.stdout })
    assert.matches("drop capabilities", done.stderr, 1, true)
  end)

  it("reads what it is given", function()
    local line = box.line({ "--policy", policy }, { "wc", "-c" })
    assert.equal("100000\n", box.shell("head -c 100000 /dev/zero | " .. line).stdout)
  end)

  it("is ended by the signals that end any other", function()
    local line = box.line({ "--policy", policy }, { "sleep", "19.25" })
    local done = box.shell("timeout -s INT 0.5 " .. line .. " </dev/null")
    assert.equal(124, done.code)
    assert.is_true(box.wait_for(function() return box.shell("pgrep -fx 'sleep 19.25'").code ~= 0 end, 5))
  end)

  it("does not start when the policy is another, though it looks as old and as large", function()
    local stamp = box.home .. "/stamp"
    box.shell(("touch -r %s %s"):format(policy, stamp))
    rule "other"
    box.shell(("touch -r %s %s"):format(stamp, policy))
    assert.not_equal(0, exec({ "cat", "/mnt/given/file" }).code)
    assert.equal("one\n", exec({ "cat", "/mnt/other/file" }).stdout)
    rule "given"
    warm()
  end)

  it("does not start for another policy than the one that was asked for", function()
    assert.equal("one\n", exec({ "cat", "/mnt/given/file" }).stdout)
    -- As if the names of two policies had the same hash: this is where the plan is kept when none is named.
    local unnamed = runs.quote(box.state .. "/cache/start-cbf29ce484222325")
    box.shell(("cp %s %s"):format(runs.quote((kept())), unnamed))
    assert.not_equal(0, box.exec({}, { "cat", "/mnt/given/file" }).code)
    local function unnamed_is_kept()
      box.exec({}, { "true" })
      local text = box.read(box.state .. "/cache/start-cbf29ce484222325") or ""
      return text:find("\nfiles\n", 1, true) and not text:find("/mnt/given", 1, true)
    end
    assert.is_truthy(box.wait_for(unnamed_is_kept, 15))
    local nameless = box.exec({ "--policy", "" }, { "echo", "ran" })
    assert.same({ 65, "" }, { nameless.code, nameless.stdout }, nameless.stderr)
    box.shell("rm " .. unnamed)
  end)

  it("does not start when a link of the host leads elsewhere", function()
    assert.equal("one\n", exec({ "cat", "/mnt/given/file" }).stdout)
    box.shell(("ln -sfn %s %s"):format(runs.quote(box.state), shown))
    local refused = exec { "ls", "/mnt/given" }
    assert.same({ 65, "" }, { refused.code, refused.stdout }, refused.stderr)
    box.shell(("ln -sfn %s %s"):format(hosted, shown))
    assert.equal("one\n", exec({ "cat", "/mnt/given/file" }).stdout)
  end)

  it("does not start from a copy that is torn, or that others may choose", function()
    if sanitized then return pending "the sanitizers' suite has no build with failpoints" end
    local function tried(change, back)
      assert.is_true(box.wait_for(starts_early, 15))
      box.shell(change)
      assert.is_false(starts_early(), change)
      assert.equal("one\n", exec({ "cat", "/mnt/given/file" }).stdout)
      box.shell(back)
    end
    local path = runs.quote((kept()))
    tried(("sed -i 's/agent:x:1000/agent:x:1001/' %s"):format(path), "true")
    tried("chmod o+w " .. runs.quote(box.state), "chmod o-w " .. runs.quote(box.state))
    tried(("mkdir %s/boxes/left"):format(box.state), ("rmdir %s/boxes/left"):format(box.state))
  end)

  it("of whom a plan was kept that is not his is told, and loses it", function()
    if sanitized then return pending "the sanitizers' suite has no build with failpoints" end
    assert.is_true(box.wait_for(starts_early, 15))
    local line = ("MOONBOX_POLICIES=policies MOONBOX_FAIL='head start:take=EIO' build/failpoints/moonbox exec --policy %s"
      .. " -- sh -c 'echo ran; sleep 5' </dev/null"):format(policy)
    local done = box.shell(line)
    assert.equal(125, done.code)
    assert.is_truthy(done.stderr:find("a kept plan was spoilt", 1, true), done.stderr)
    assert.is_false(has_warrant())
    warm()
  end)
end)
