-- `moonbox run` as a person or a program meets it: real sandboxes, real records.
local json = require "moonbox.json"
local runs = require "spec.support.runs"

describe("moonbox run", function()
  if not runs.built() then
    return it("needs build/moonbox", function() pending("build/moonbox is not built") end)
  end

  local folder

  before_each(function() folder = runs.folder() end)
  after_each(function() runs.remove(folder) end)

  local function run(steps, arguments, env)
    return runs.pipeline(folder, 'return pipeline "p" {\n  policy = "offline",\n' .. steps .. "\n}\n", arguments, env)
  end

  local function log(record, name)
    return runs.read(record .. "/logs/" .. name .. ".log")
  end

  it("hands the files of one step to the next, and nothing else", function()
    local code, out, err, record = run [[
  step "first"  { run = { "sh", "-c", "echo w > f; echo h > ~/f; echo t > /tmp/f; sleep 1000 & echo $$! > pid" } },
  step "second" { run = { "sh", "-c", "cat f ~/f; ls /tmp; kill -0 $$(cat pid) 2>/dev/null && echo alive; true" } },]]
    assert.equal(0, code, out .. err)
    assert.equal("w\nh\n", log(record, "02-second"))
    assert.are_not.equal(0, (runs.shell("test -e " .. record .. "/fs")))
  end)

  it("passes the exit code of the failing step on, and says which it was", function()
    local code, out, err, record = run [[
  step "good" { run = { "true" } },
  step "bad"  { run = { "sh", "-c", "echo the reason; exit 42" } },
  step "never" { run = { "true" } },]]
    assert.equal(42, code)
    assert.truthy(out:find("| the reason", 1, true))
    assert.equal('moonbox: step "bad" failed with exit code 42\n', err)
    local data = json.decode(runs.read(record .. "/task.json"))
    assert.same({ "failed", 42, 2 }, { data.state, data.code, #data.steps })
  end)

  it("says of a command that isn't there what a shell says", function()
    local code, _, err = run 'step "s" { run = { "no-such-program" } },'
    assert.equal(127, code)
    assert.truthy(err:find("no-such-program", 1, true))
  end)

  it("replaces a parameter whole: no shell, no second look", function()
    local code, _, _, record = run([[
  needs = { text = text {} },
  step "s" { run = { "printf", "[%s]", "$text", "at $text" }, env = { T = "$text" } },]],
      { "--text=a b; $(id) $text '" })
    assert.equal(0, code)
    assert.equal("[a b; $(id) $text '][at a b; $(id) $text ']", log(record, "01-s"))
  end)

  it("refuses what is missing or unknown, with 64 and all at once", function()
    local code, out, err, record = run('needs = { prompt = text { about = "what to do" } }, step "s" { run = { "true" } },',
      { "--promt=x" })
    assert.equal(64, code)
    assert.equal("", out)
    assert.equal("moonbox: the pipeline has no parameter --promt; did you mean --prompt?\n"
      .. "moonbox: --prompt=… is missing: what to do\n", err)
    assert.is_nil(record)
    assert.equal(64, (runs.run(folder .. "/state", {})))
    assert.equal(64, (runs.run(folder .. "/state", { "helo" })))
    assert.equal(64, (runs.run(folder .. "/state", { "hello", "more" })))
  end)

  it("refuses a bad pipeline with 65 and a policy that it can't hold with 69", function()
    assert.equal(65, (run 'step "s" { rnu = { "true" } },'))
    local policy = folder .. "/later.lua"
    runs.write(policy, 'return policy "x" { extends = "base", limits = { disk_floor = 900 * TB } }\n')
    local code, _, err = runs.pipeline(folder,
      ('return pipeline "p" { policy = "%s", step "s" { run = { "true" } } }'):format(policy))
    assert.equal(69, code)
    assert.truthy(err:find("no room", 1, true))
  end)

  it("gives secrets to their step and writes *** wherever they would show", function()
    local code, out, err, record = run([[
  needs = { note = text {} },
  step "with"    { run = { "sh", "-c", "echo $$KEY; printf hun; sleep 0.2; echo ter2" }, secrets = { "KEY" } },
  step "without" { run = { "sh", "-c", "echo [$$KEY] $note" } },]], { "--note=say hunter2" }, "KEY=hunter2")
    assert.equal(0, code, out .. err)
    assert.equal("***\n***\n", log(record, "01-with"))
    assert.equal("[] say ***\n", log(record, "02-without"))
    local _, found = runs.shell("grep -rl hunter2 " .. folder .. "/state")
    assert.equal("", found)
    assert.is_nil((out .. err):find("hunter2", 1, true))
  end)

  it("asks for a secret that isn't there before anything runs", function()
    local code, _, err, record = run 'step "s" { run = { "true" }, secrets = { "MOONBOX_SPEC_NO_SUCH" } },'
    assert.equal(64, code)
    assert.truthy(err:find('step "s" needs the secret MOONBOX_SPEC_NO_SUCH', 1, true))
    assert.is_nil(record)
  end)

  it("gives a do function code, stdout and stderr, under the step's time, env and secrets", function()
    local code, out, err, record = run([[
  step "s" { env = { A = "1" }, secrets = { "KEY" }, time = 2 * seconds, ["do"] = function (box)
    local code, out, errors = box:exec { "sh", "-c", "echo out $A $KEY; echo err >&2; exit 3" }
    if code ~= 3 or out ~= "out 1 hunter2\n" or errors ~= "err\n" then return 1, "got " .. code .. out .. errors end
    box:exec { "sleep", "60" }
    return 1, "not reached"
  end },]], {}, "KEY=hunter2")
    assert.equal(124, code, out .. err)
    assert.truthy(err:find('step "s" ran longer than its 2 s', 1, true))
    assert.is_not_nil(record)
  end)

  it("tells where a do function went wrong, without secrets, and goes on with nothing unknown", function()
    for body, said in pairs {
      ['local _, out = box:exec { "sh", "-c", "echo $KEY" }; error("bad " .. out)'] = "pipeline.lua:3: bad ***",
      ['local _, out = box:exec { "sh", "-c", "echo $KEY" }; return 1, ("x"):rep(997) .. out'] = "xx***",
      ['local _, out = box:exec { "sh", "-c", "echo $KEY" }; error(("x"):rep(270) .. out)'] = "xx***",
      ['notthere("x")'] = "pipeline.lua:3: unknown word `notthere`",
      ['if notthere then return 0 end'] = "pipeline.lua:3: unknown word `notthere`",
      ['global = 1'] = "pipeline.lua:3: `global = …` would make a global",
      ['return os.exit(0)'] = "pipeline.lua:3: `os` is not there in pipeline files",
      ['error {}'] = "raised a table",
      ['box:exec { "true", time = 0 }'] = "pipeline.lua:3: box:exec: time is above 0",
    } do
      local code, out, err = run('step "s" { secrets = { "KEY" }, ["do"] = function (box) ' .. body .. " end },", {},
        "KEY=hunter2")
      assert.same({ 1, true }, { code, err:find(said, 1, true) ~= nil }, body .. "\n" .. out .. err)
      assert.is_nil((out .. err):find("hunter", 1, true))
      assert.is_nil(err:find("0x%x%x%x%x%x%x")) -- where a table lies; a folder of mktemp may well have 0x in its name
    end
  end)

  it("tells no secret of several lines, or that would be cut, where a do function uses one as a name", function()
    local key = "-----hunter one\nhunter two, which is a long line of a key: hunter three\nhunter four"
    for _, use in ipairs { "local x = box[out]", "local x = given[out]", "notthere(out); local x = _G[out]",
      "box:exec { 'true', env = { [out] = '1' } }", "box:exec { 'true', [out] = 1 }", "policy(out)", "group(out)",
      "local x = box['it is ' .. out]", "local x = 5 * out", "error(out)", "error { out }", "return 1, out" } do
      local code, out, err, record = run('step "s" { secrets = { "KEY" }, ["do"] = function (box, given) '
        .. [[local _, out = box:exec { "sh", "-c", 'printf %s "$KEY"' }; ]] .. use .. " end },", {}, "KEY="
        .. runs.quote(key))
      assert.equal(1, code, use .. out .. err)
      local shown = out .. err .. runs.read(record .. "/task.json") .. runs.read(record .. "/events.jsonl")
      assert.is_nil(shown:find("hunter", 1, true), use .. "\n" .. shown)
    end
  end)

  it("shows a repository to the step that mentions it only, read-only, and only git's part of it", function()
    assert.equal(0, (runs.shell("cd " .. folder .. " && git init -q -b main r && cd r && echo x > f && git add f && "
      .. "git -c user.name=a -c user.email=a@b commit -qm x && echo key > .env")))
    local code, out, err, record = run([[
  needs = { repo = repository {} },
  step "clone" { run = { "git", "clone", "-q", "$repo", "/workspace" } },
  step "look"  { run = { "sh", "-c", "ls -A / /source 2>&1; cat f" } },
  step "write" { run = { "sh", "-c", "ls -A /source/repo; touch /source/repo/.git/x && echo written; true" },
                 env = { R = "$repo" } },]], { "--repo=" .. folder .. "/r" })
    assert.equal(0, code, out .. err)
    assert.is_nil(log(record, "02-look"):find("^source$"))
    assert.truthy(log(record, "02-look"):find("cannot access '/source'", 1, true))
    local write = log(record, "03-write")
    assert.truthy(write:find("^%.git\n"))
    assert.is_nil(write:find("written", 1, true))
    assert.is_nil(write:find(".env", 1, true))
  end)

  it("clones a bare repository and a bundle as well", function()
    assert.equal(0, (runs.shell("cd " .. folder .. " && git init -q -b main r && cd r && echo x > f && git add f && "
      .. "git -c user.name=a -c user.email=a@b commit -qm x && git bundle create -q ../b.bundle --all && "
      .. "git clone -q --bare . ../bare.git")))
    for _, name in ipairs { "bare.git", "b.bundle" } do
      local code, out, err = run([[
  needs = { repo = repository {} },
  step "clone" { run = { "git", "clone", "-q", "--branch=main", "$repo", "/workspace" } },
  step "look"  { run = { "test", "-f", "f" } },]], { "--repo=" .. folder .. "/" .. name })
      assert.equal(0, code, out .. err)
    end
  end)

  it("brings files back, and fails when one is missing", function()
    local code, _, err, record = run [[
  step "s" { run = { "sh", "-c", "printf 'a\\0b' > notes.md; ln -s /etc/hostname there; mkfifo pipe" } },
  gives = { "/workspace/notes.md", "/workspace/there", "/workspace/pipe", "/workspace/gone" },]]
    assert.equal(1, code)
    assert.equal("a\0b", runs.read(record .. "/gives/notes.md"))
    assert.equal("moonbox\n", runs.read(record .. "/gives/there"))
    assert.truthy(err:find("couldn't bring back the file of /workspace/pipe: there is no such file", 1, true))
    assert.equal(2, #runs.events(record, "give_failed"))
  end)

  it("prints events and nothing else with --json", function()
    local code, out, err, record = run('step "s" { run = { "sh", "-c", "echo noise; exit 5" } },', { "--json" })
    assert.equal(5, code)
    assert.equal(runs.read(record .. "/events.jsonl"), out)
    local last
    for line in out:gmatch("[^\n]+") do last = assert(json.decode(line)) end
    assert.same({ "result", 5 }, { last.event, last.code })
    assert.equal('moonbox: step "s" failed with exit code 5\n', err)
    local _, wrong = run('step "s" { run = { "true" } },', { "--json", "--x=1" })
    assert.equal("result", json.decode(wrong).event)
  end)

  it("keeps a private record", function()
    local _, _, _, record = run 'step "s" { run = { "echo", "x" } },'
    local _, modes = runs.shell("find " .. record .. " -perm /077")
    assert.equal("", modes)
    assert.equal("x\n", log(record, "01-s"))
  end)

  it("on a terminal lets no control byte of a step through but its own redrawing", function()
    local path = runs.write(folder .. "/p.lua", [[
return pipeline "p" { policy = "offline",
  step "s" { run = { "sh", "-c", "printf '\\033]0;owned\\007\\033[2Jlast \\033[31mline\\n'; sleep 0.4; exit 1" } } }]])
    local _, out = runs.shell("MOONBOX_STATE=" .. folder .. "/state NO_COLOR=1 TERM=xterm script -qec 'build/moonbox run "
      .. path .. "' /dev/null </dev/null")
    assert.truthy(out:find("\r\27[K  ...     s  0.", 1, true), out)
    assert.truthy(out:find("| last line", 1, true))
    assert.is_nil(out:gsub("\r\27%[K", ""):find("\27", 1, true))
    assert.is_nil(out:find("\7", 1, true))
  end)

  -- Starts a task that sleeps, waits until it runs, and then signals moonbox itself.
  local function signalled(signal)
    local path = runs.write(folder .. "/p.lua",
      'return pipeline "p" { policy = "offline", step "s" { run = { "sleep", "300" } } }')
    local _, out = runs.shell("export MOONBOX_STATE=" .. folder .. "/state; env --default-signal=INT build/moonbox run " .. path
      .. " >/dev/null 2>&1 & pid=$!; for i in $(seq 100); do sleep 0.05; "
      .. "grep -qs '\"command\"' $MOONBOX_STATE/tasks/*/events.jsonl && break; done; kill -" .. signal
      .. " $pid; wait $pid 2>/dev/null; echo $?")
    local _, record = runs.shell("ls -d " .. folder .. "/state/tasks/*")
    record = record:gsub("\n$", "")
    return tonumber(out), record, json.decode(runs.read(record .. "/task.json"))
  end

  it("ends with 130 or 143 when interrupted, and its record says so", function()
    for signal, expected in pairs { INT = 130, TERM = 143 } do
      local code, record, data = signalled(signal)
      assert.same({ expected, "interrupted" }, { code, data.state })
      assert.are_not.equal(0, (runs.shell("test -e " .. record .. "/fs")))
      runs.shell("rm -rf " .. folder .. "/state")
    end
  end)

  -- Sends a signal once the step has said that it runs; returns the exit code and what was printed.
  local function when_it_runs(before, signal, steps)
    runs.write(folder .. "/q.lua", 'return pipeline "q" {\n  policy = "offline",\n' .. steps .. "\n}\n")
    local _, out = runs.shell(([[cd '%s'; moonbox=$OLDPWD/build/moonbox; export MOONBOX_STATE=$PWD/state
      sh -c '%s exec "$0" run ./q.lua' "$moonbox" >out 2>&1 & pid=$!
      for i in $(seq 600); do grep -q ready state/tasks/*/logs/*.log 2>/dev/null && break; sleep 0.05; done
      kill -%s $pid; for i in $(seq 600); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
      kill -KILL $pid 2>/dev/null; wait $pid; echo "code $?"; cat out]]):format(folder, before, signal))
    return tonumber(out:match("^code (%d+)")), out
  end

  it("interrupts a do function that loops", function()
    local code, out = when_it_runs("", "INT", [[  step "s" { ["do"] = function (box)
      box:exec { "echo", "ready" }
      while true do end end } ]])
    assert.equal(130, code, out)
    assert.truthy(out:find("interrupted by SIGINT", 1, true), out)
  end)

  it("goes on when a terminal goes away that nohup told it to do without", function()
    local step = '  step "s" { run = { "sh", "-c", "echo ready; sleep 1" } }'
    local code, out = when_it_runs('trap "" HUP;', "HUP", step)
    assert.equal(0, code, out)
    runs.shell("rm -rf " .. folder .. "/state")
    code, out = when_it_runs("", "HUP", step)
    assert.equal(129, code, out)
  end)

  it("goes on, and puts everything away, when nobody reads what it prints", function()
    local code = runs.shell(("MOONBOX_STATE=%s/state build/moonbox run hello | true"):format(folder))
    assert.equal(0, code)
    local _, left = runs.shell("cd " .. folder .. "/state/tasks/* && ls -d fs lock; grep -c passed task.json")
    assert.truthy(left:find("^[1-9]"), left)
  end)

  it("keeps the task's files with --keep", function()
    local code, _, err, record = run('step "s" { run = { "sh", "-c", "echo kept > f; truncate -s 4G hole" } },', { "--keep" })
    assert.equal(0, code, err)
    local bytes = assert(require("moonbox.core").sys.stat(record .. "/files.tar")).size
    assert.is_true(bytes < 2 ^ 20, bytes)
    local _, found = runs.shell("tar -xOf " .. record .. "/files.tar workspace/f")
    assert.equal("kept\n", found)
    assert.are_not.equal(0, (runs.shell("test -e " .. record .. "/fs")))
  end)

  it("that was killed is found by the next one: lost, and its files gone", function()
    local code, record, data = signalled "KILL"
    assert.same({ 137, "running" }, { code, data.state })
    assert.equal(0, (runs.run(folder .. "/state", { "hello" })))
    assert.equal("lost", json.decode(runs.read(record .. "/task.json")).state)
    assert.are_not.equal(0, (runs.shell("test -e " .. record .. "/fs")))
  end)

  it("prints its usage and the pipeline's parameters", function()
    local code, out = runs.run(folder .. "/state", { "hello", "--help" })
    assert.equal(0, code)
    assert.truthy(out:find("usage: moonbox run", 1, true))
  end)
end)
