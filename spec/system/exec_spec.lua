-- `moonbox exec`: what a user sees of one command. Exit codes, signals, streams, refusals.
local box = require "support.box"

local BIG = 64 * 1024 * 1024

describe("moonbox exec", function()
  setup(box.enter)
  teardown(box.leave)

  it("passes exit codes on", function()
    for _, code in ipairs { 0, 1, 2, 64, 69, 70, 124, 125, 126, 127, 128, 137, 255 } do
      assert.equal(code, box.sh("exit " .. code).code)
    end
  end)

  it("says 128+n for a signal, as a shell does", function()
    assert.equal(137, box.sh("kill -KILL $$").code)
    assert.equal(143, box.sh("kill -TERM $$").code)
    assert.equal(139, box.sh("kill -SEGV $$").code)
    assert.equal(130, box.sh("kill -INT $$").code)
  end)

  it("says 127 for a program that isn't there and 126 for one that can't run, each with a sentence", function()
    local missing = box.exec({}, { "no-such-program-here" })
    assert.equal(127, missing.code)
    assert.matches("^moonbox: no%-such%-program%-here: no such program in the sandbox's PATH\n$", missing.stderr)
    local directory = box.exec({}, { "/usr/bin" })
    assert.equal(126, directory.code)
    assert.matches("^moonbox: /usr/bin in the sandbox: Permission denied\n$", directory.stderr)
    local text = box.exec({}, { "/etc/passwd" })
    assert.equal(126, text.code)
  end)

  it("keeps stdout and stderr apart and adds nothing to them", function()
    local result = box.sh("printf out; printf err >&2")
    assert.same({ code = 0, stdout = "out", stderr = "err" }, result)
  end)

  it("carries 64 MB through stdin, stdout and stderr unharmed", function()
    local input = box.home .. "/big"
    assert.equal(0, box.shell(("head -c %d /dev/urandom > %s"):format(BIG, input)).code)
    local want = box.shell("sha256sum < " .. input).stdout
    assert.equal(want, box.shell(box.line({}, { "cat" }) .. " < " .. input .. " | sha256sum").stdout)
    assert.equal(want, box.shell(box.line({}, { "sha256sum" }) .. " < " .. input).stdout)
    assert.equal(want, box.shell("cat " .. input .. " | " .. box.line({}, { "sh", "-c", "cat >&2" })
      .. " 2>&1 >/dev/null | sha256sum").stdout)
    os.remove(input)
  end)

  it("ends when its reader has gone", function()
    local result = box.shell(box.line({}, { "yes" }) .. " | head -1")
    assert.same({ code = 0, stdout = "y\n", stderr = "" }, result)
  end)

  it("shows the end of stdin", function()
    assert.equal("0\n", box.shell(box.line({}, { "wc", "-c" }) .. " < /dev/null").stdout)
    assert.equal("3\n", box.shell("printf abc | " .. box.line({}, { "wc", "-c" })).stdout)
    assert.equal(0, box.shell(box.line({}, { "true" }) .. " <&-").code)
  end)

  it("doesn't wait for orphans that hold stdout", function()
    local sys = require("moonbox.core").sys
    local began = sys.monotonic()
    local result = box.sh("sleep 300 & setsid sleep 300 & echo done")
    assert.same({ code = 0, stdout = "done\n", stderr = "" }, result)
    assert.is_true(sys.monotonic() - began < 60)
  end)

  it("passes SIGINT and SIGTERM on to the command", function()
    for signal, code in pairs { INT = 41, TERM = 42, HUP = 43 } do
      local marks = box.home .. "/" .. signal
      local script = ("trap 'exit %d' %s; echo ready; while :; do sleep 0.1; done"):format(code, signal)
      -- A shell starts background jobs with SIGINT ignored; moonbox watches it all the same.
      local result = box.shell(("%s > %s & pid=$!; i=0; while [ ! -s %s ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done; "
        .. "kill -%s $pid; wait $pid; echo code=$?"):format(box.line({}, { "sh", "-c", script }), marks, marks, signal))
      assert.equal(("code=%d\n"):format(code), result.stdout)
    end
  end)

  it("hands on as many arguments as the kernel takes", function()
    assert.equal("100000\n", box.shell(box.line({}, { "sh", "-c", "echo $#; exit 7", "sh" }) .. " $(yes a | head -100000)").stdout)
    assert.equal(7, box.shell(box.line({}, { "sh", "-c", "exit 7", "sh" }) .. " $(yes a | head -100000)").code)
  end)

  it("says which limit of its caller's is too low", function()
    for limit, sentence in pairs { ["-n 10"] = "%(the limit is that of ulimit %-n%)", ["-f 0"] = "limit of ulimit %-f" } do
      -- Through a pipe: `ulimit -f` holds for the file that stderr is here, too.
      local result = box.shell(("{ sh -c %s; echo $?; } 2>&1 | cat"):format(box.quote("ulimit " .. limit .. "; exec "
        .. box.line({}, { "true" }))))
      assert.matches(sentence .. "[^\n]*\n125\n$", result.stdout)
    end
  end)

  it("ends a command that outlives --time with 124 and a sentence", function()
    local result = box.sh("trap '' INT; sleep 100", { "--time", "0.5" })
    assert.equal(124, result.code)
    assert.equal("moonbox: time limit of 0.5 s reached\n", result.stderr)
  end)

  it("takes no more time than the policy gives", function()
    local outcome = box.once(box.plan(function(plan) plan.limits.time = 0.4 end), { "sleep", "100" })
    assert.equal("time", outcome.ended_by)
    assert.equal(124, outcome.code)
  end)

  it("refuses bad options with 64 and one sentence", function()
    for _, options in ipairs { { "--no-such" }, { "--time", "0" }, { "--time", "-1" }, { "--time", "nan" },
      { "--time", "inf" }, { "--time", "soon" }, { "--env", "1X=2" }, { "--env", "A-B=2" },
      { "--env", "MOONBOX_SPEC_UNSET" }, { "--bind", "" }, { "--bind", "a:b:c:d" }, { "--bind", "/nowhere/at/all" },
      { "--bind", "/:/host" }, { "--bind", "/proc:/mnt" }, { "--bind", "/sys:/mnt" }, { "--bind", "/dev:/mnt" },
      { "--bind", "/etc:relative" }, { "--bind", "/etc:/" }, { "--bind", "/etc:/proc/x" }, { "--bind", "/etc:/mnt/../x" },
      { "--tty" }, { "--json=yes" } } do
      local result = box.exec(options, { "true" })
      assert.equal(64, result.code, table.concat(options, " "))
      assert.matches("^moonbox: [^\n]+\n$", result.stderr)
      assert.equal("", result.stdout)
    end
    assert.equal(64, box.shell(box.program .. " exec").code)
    assert.equal(64, box.shell(box.program .. " exec --policy").code)
  end)

  it("doesn't show its own state, nor a directory that holds it", function()
    for _, source in ipairs { box.state, box.home } do
      assert.equal(64, box.exec({ "--bind", source .. ":/mnt" }, { "true" }).code)
    end
  end)

  it("refuses a bad policy with 65 and a policy that this host can't hold with 69", function()
    local bad = box.home .. "/bad.lua"
    require("support.runs").write(bad, 'return policy "x" { about = "y", colour = "red" }\n')
    local result = box.exec({ "--policy", bad }, { "true" })
    assert.equal(65, result.code)
    assert.matches("bad%.lua:1: ", result.stderr)
    assert.equal(65, box.exec({ "--policy", "no-such-policy" }, { "true" }).code)
    local later = box.home .. "/later.lua"
    require("support.runs").write(later, 'return policy "x" { extends = "base", limits = { disk_floor = 900 * TB } }\n')
    local unheld = box.exec({ "--policy", later }, { "true" })
    assert.equal(69, unheld.code)
    assert.matches("no room", unheld.stderr)
  end)

  it("names the line of a policy's row that this host can't give, with 125", function()
    local file = box.home .. "/rows.lua"
    for row, sentence in pairs {
      ['read_only { "/nowhere-on-this-host" }'] = "this host has no /nowhere-on-this-host; a row with optional = true",
      ['bind { "/nowhere-on-this-host", at = "/x" }'] = "this host has no /nowhere-on-this-host; a row with optional",
      ['file { "/x", text = "" }, read_write { "/x/y" }'] = "/x/y: open /x/y in the root: Not a directory",
      ['file { "/tmp", text = "" }'] = "/tmp: ",
      ['file { "/usr/moonbox-x", text = "" }'] = "/usr/moonbox-x: /usr/moonbox-x does not exist in the sandbox",
    } do
      require("support.runs").write(file, 'return policy "x" { extends = "base", files = {\n' .. row .. "\n} }\n")
      local result = box.exec({ "--policy", file }, { "true" })
      assert.equal(125, result.code, row)
      assert.matches(": " .. file .. ":2: " .. sentence, result.stderr, 1, true)
    end
    require("support.runs").write(file, 'return policy "x" { extends = "base", files = {\n'
      .. 'read_only { "/nowhere-on-this-host", optional = true } } }\n')
    assert.equal(0, box.exec({ "--policy", file }, { "true" }).code)
  end)

  it("says of a bind that can't lie where it is to what lies there", function()
    for bind, sentence in pairs { ["/usr/bin:/etc/passwd"] = "/etc/passwd: a directory can't lie over a file",
      ["/etc/passwd:/tmp"] = "/tmp: a file can't lie over a directory" } do
      local result = box.exec({ "--bind", bind }, { "true" })
      assert.equal(125, result.code, bind)
      assert.matches(sentence, result.stderr, 1, true)
    end
    assert.equal(0, box.exec({ "--bind", "/etc/passwd" }, { "true" }).code)
  end)

  it("makes a directory as deep as a policy may name one", function()
    local file = box.home .. "/deep.lua"
    local deep = ("/d"):rep(128)
    require("support.runs").write(file, ('return policy "x" { extends = "base", files = { read_write { "%s" } } }')
      :format(deep))
    assert.equal(0, box.exec({ "--policy", file }, { "touch", deep .. "/f" }).code)
  end)

  it("gives the policy's environment and what --env adds, and nothing of the caller's", function()
    local result = box.shell("SECRET_OF_HOST=1 PASSED='a b' " .. box.line({ "--env", "PASSED", "--env", "NEW=x=y",
      "--env", "HOME=/tmp", "--env", "EMPTY=" }, { "env" }))
    assert.equal(0, result.code)
    assert.is_nil(result.stdout:find("SECRET_OF_HOST", 1, true))
    assert.matches("\nPASSED=a b\n", "\n" .. result.stdout)
    assert.matches("\nNEW=x=y\n", "\n" .. result.stdout)
    assert.matches("\nHOME=/tmp\n", "\n" .. result.stdout)
    assert.matches("\nEMPTY=\n", "\n" .. result.stdout)
  end)

  it("binds read-only unless told otherwise, as the agent's own", function()
    local shared = box.home .. "/shared"
    box.shell(("mkdir %s && echo text > %s/file"):format(shared, shared))
    assert.equal("text\n", box.sh("cat /mnt/file", { "--bind", shared .. ":/mnt" }).stdout)
    local refused = box.sh("echo x > /mnt/new", { "--bind", shared .. ":/mnt" })
    assert.matches("Read%-only file system", refused.stderr)
    local written = box.sh("echo more > /mnt/new && stat -c %U /mnt/file /mnt/new", { "--bind", shared .. ":/mnt:rw" })
    assert.same({ code = 0, stdout = "agent\nagent\n", stderr = "" }, written)
    assert.equal("more\n", box.read(shared .. "/new"))
    assert.equal(require("moonbox.core").sys.euid(), require("moonbox.core").sys.stat(shared .. "/new").uid)
  end)

  it("passes any argument unchanged", function()
    local arguments = { "", " ", "ä€🌙", "a\nb", "*", "$HOME", "-x", "--", "'\"\\", "\255\254" }
    local command = { "printf", "[%s]" }
    for _, argument in ipairs(arguments) do command[#command + 1] = argument end
    assert.equal("[" .. table.concat(arguments, "][") .. "]", box.exec({}, command).stdout)
  end)

  it("passes 1,000 arguments", function()
    local command = { "sh", "-c", "echo $# ${1000}", "sh" }
    for i = 1, 1000 do command[#command + 1] = "argument-" .. i end
    assert.equal("1000 argument-1000\n", box.exec({}, command).stdout)
  end)

  it("says what is too large about a command line", function()
    local plan = box.plan()
    local opened = box.open(plan)
    local one = opened:exec { run = { "true", ("x"):rep(200 * 1024) } }
    assert.equal(126, one.code)
    assert.matches("Argument list too long", one.sentence)
    local all = { "true" }
    for i = 2, 200 do all[i] = ("y"):rep(100 * 1024) end
    local outcome, message = opened:exec { run = all }
    assert.is_nil(outcome)
    assert.matches("command line and environment are larger than", message)
    assert.equal(0, opened:exec({ run = { "true" } }).code)
    assert.is_true(opened:close())
  end)

  it("prints a result event with --json", function()
    local result = box.exec({ "--json" }, { "sh", "-c", "exit 3" })
    local event = require("moonbox.json").decode(result.stderr)
    assert.equal("result", event.event)
    assert.equal(3, event.code)
  end)
end)

describe("the working directory (probe 3)", function()
  setup(box.enter)
  teardown(box.leave)

  local function refused(path, pattern)
    local result = box.exec({ "--cwd", path }, { "pwd" })
    assert.equal(126, result.code, path)
    assert.equal("", result.stdout)
    assert.matches("^moonbox: " .. pattern, result.stderr)
  end

  it("3: can be any directory inside (control)", function()
    for _, path in ipairs { "/", "/tmp", "/usr/bin", "/bin", "/home/agent" } do
      assert.equal(0, box.exec({ "--cwd", path }, { "pwd" }).code)
    end
  end)

  it("3: is never one behind a descriptor, /proc/self/fd/0 to 64", function()
    local opened = box.open(box.plan())
    for fd = 0, 64 do
      for _, tail in ipairs { "", "/..", "/../.." } do
        local outcome = opened:exec { run = { "pwd" }, cwd = "/proc/self/fd/" .. fd .. tail }
        assert.equal(126, outcome.code)
        assert.matches("^enter the working directory /proc/self/fd/", outcome.sentence)
      end
    end
    for _, path in ipairs { "/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/1/cwd", "/proc/thread-self/root",
      "/dev/fd/3", "/proc/self/task/1/cwd" } do
      local outcome = opened:exec { run = { "pwd" }, cwd = path }
      assert.equal(126, outcome.code)
      assert.matches("^enter the working directory ", outcome.sentence)
    end
    assert.is_true(opened:close())
  end)

  it("3: is never relative, missing, a file, or a directory of the host", function()
    refused("workspace", "the working directory workspace is not an absolute path")
    refused("", "the working directory  is not an absolute path")
    refused("/nowhere", "enter the working directory /nowhere: No such file")
    refused("/etc/passwd", "enter the working directory /etc/passwd: Not a directory")
    refused(box.home, "enter the working directory [^\n]*: No such file")
  end)

  it("3: is not one that was deleted, nor a link to what isn't there", function()
    local opened = box.open(box.plan())
    assert.equal(0, box.inside(opened, "mkdir /workspace/d && cd /workspace/d && (sleep 300 &) && rmdir ../d && "
      .. "ln -s /proc/self/fd/3 /workspace/l && ln -s " .. box.home .. " /workspace/h").code)
    for _, path in ipairs { "/workspace/d", "/workspace/l", "/workspace/h" } do
      assert.equal(126, opened:exec({ run = { "pwd" }, cwd = path }).code)
    end
    local pid = box.inside(opened, "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = sleep ] && echo ${p#/proc/}; done")
    local outcome = opened:exec { run = { "pwd" }, cwd = "/proc/" .. pid.stdout:match("%d+") .. "/cwd" }
    assert.equal(126, outcome.code)
    assert.is_true(opened:close())
  end)
end)
