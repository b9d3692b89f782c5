-- The patch promise: what `git apply` makes of the patch on a fresh clone is the tree that was in the box,
-- and nothing that a hostile tree holds runs on the host or decides what the patch says.
local runs = require "spec.support.runs"

local PIPELINE = [==[
return pipeline "patch" {
  policy = "offline",
  needs = { repo = repository {} },
  step "clone" { run = { "git", "clone", "--quiet", "--", "$repo", "/workspace" } },
  step "work"  { run = { "sh", "-c", [=[%s]=] } },
  step "pack"  { run = { "sh", "-c", "chmod -R u+r . && tar --exclude=.git -cf /home/agent/tree.tar ." } },
  gives = { patch "/workspace", "/home/agent/tree.tar" },
}
]==]

local BASE = [[set -e; cd '%s'; export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git init -q -b main base; cd base; mkdir -p dir/deep bin
printf 'one\ntwo\n' > text; printf 'a\0b\377' > binary; printf '#!/bin/sh\n' > bin/tool; chmod 755 bin/tool
printf 'x\ny\n' > dir/deep/file; ln -s text link; printf 'node_modules/\n*.log\n' > .gitignore
printf '*.w text eol=crlf\n' > .gitattributes; printf 'a\nb\n' > windows.w
printf 'kept\n' > kept.log; printf '\r\nwin\r\n' > crlf
git add -A; git add -f kept.log; git -c user.name=a -c user.email=a@b commit -q -m base]]

describe("the patch", function()
  if not runs.built() then
    return it("needs build/moonbox", function() pending("build/moonbox is not built") end)
  end

  local folder

  before_each(function()
    folder = runs.folder()
    assert.equal(0, (runs.shell(BASE:format(folder))))
  end)
  after_each(function() runs.remove(folder) end)

  -- Runs `work` in the box, in `pipeline` or PIPELINE; returns the patch's text, the record and the notices.
  local function run(work, pipeline)
    local script = work:gsub("%$", "$$")
    local code, out, err, record = runs.pipeline(folder, (pipeline or PIPELINE):format(script), { "--repo=" .. folder .. "/base" })
    assert.equal(0, code, out .. err)
    local notices = {}
    for _, event in ipairs(runs.events(record, "notice")) do notices[#notices + 1] = event.sentence end
    return assert(runs.read(record .. "/workspace.patch")), record, table.concat(notices, "\n")
  end

  local COMPARE = [[set -e; cd '%s'; export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git clone -q base applied; [ -s '%s/workspace.patch' ] && git -C applied apply --whitespace=nowarn '%s/workspace.patch'
mkdir tree; tar -C tree -xf '%s/gives/tree.tar'; find tree applied -depth -type d -empty -delete
list() { (cd "$1" && find . -path ./.git -prune -o ! -type d -printf '%%P %%y %%l ' -a \( -type f -perm -100 -printf x -o -true \) \
  -printf '\n' | LC_ALL=C sort); }
list tree > a; list applied > b; diff a b; diff -r --no-dereference --exclude=.git tree applied]]

  local function reproduces(record)
    local code, out, err = runs.shell(COMPARE:format(folder, record, record, record))
    assert.equal(0, code, out .. err)
  end

  it("is empty when nothing changed, and the result says so", function()
    local text = run "true"
    assert.equal("", text)
  end)

  it("carries edits, deletions, new files, modes, symlinks and binary files", function()
    local _, record = run [[
      printf 'three\n' >> text; rm dir/deep/file; printf 'new' > new-without-newline; chmod 644 bin/tool
      printf '#!/bin/sh\n' > run; chmod 755 run; rm link; ln -s dir/else link; ln -s /etc/passwd out
      head -c 100000 /dev/urandom > random; printf 'a\0c' > binary; printf '\r\nmore\r\n' >> crlf; : > empty
      printf 'c\r\n' >> windows.w
      rm -r dir; printf 'now a file\n' > dir; mv kept.log moved.txt]]
    reproduces(record)
  end)

  it("carries names of any bytes", function()
    local _, record = run [[
      printf x > 'a
b'; printf x > 'quo"te'; printf x > 'back\slash'; printf x > ' space '; printf x > -- '-dash'
      printf x > "$(printf 'tab\there')"; printf x > "$(printf 'latin\351')"; printf x > '$HOME `id` *'
      mkdir ' d
d '; printf x > ' d
d /:(top)x']]
    reproduces(record)
  end)

  it("carries a step's commits as changes of the tree", function()
    local _, record = run "echo more >> text; git -c user.name=a -c user.email=a@b commit -qam x; echo again >> text"
    reproduces(record)
  end)

  it("leaves out ignored files, but not those that the repository tracks", function()
    local text = run "mkdir node_modules; echo x > node_modules/x; echo x > new.log; echo changed > kept.log"
    assert.truthy(text:find("b/kept.log", 1, true))
    assert.is_nil(text:find("node_modules", 1, true))
    assert.is_nil(text:find("new.log", 1, true))
  end)

  it("goes without a file that the repository tracks and the step it starts from removed", function()
    local code, out, err, record = runs.pipeline(folder, [==[
return pipeline "gone" {
  policy = "offline", needs = { repo = repository {} },
  step "clone" { run = { "sh", "-c", 'git clone --quiet "$$1" . && rm kept.log', "sh", "$repo" } },
  step "work"  { run = { "sh", "-c", "echo three >> text" } },
  gives = { patch "/workspace" },
}]==], { "--repo=" .. folder .. "/base" })
    assert.equal(0, code, out .. err)
    assert.truthy(runs.read(record .. "/workspace.patch"):find("+three", 1, true))
  end)

  it("of a repository with SHA-256 applies, binary files and all", function()
    assert.equal(0, (runs.shell(("cd '%s' && rm -rf base && git init -q --object-format=sha256"):format(folder)
      .. " -b main base && cd base && printf 'a\\0b' > binary && git add binary"
      .. " && git -c user.name=a -c user.email=a@b commit -q -m base")))
    local two = PIPELINE:gsub('patch "/workspace"', '%0, patch "/home/agent"')
    local _, record = run("printf 'c\\0d' > binary; printf '\\0' > new; echo > ~/note", two)
    reproduces(record)
    assert.truthy(runs.read(record .. "/agent.patch"):find("note", 1, true))
  end)

  it("names what lies too deep for it", function()
    local code, out, err = runs.pipeline(folder, [==[
return pipeline "deep" {
  policy = "offline",
  step "start" { run = { "touch", "f" } },
  step "work"  { run = { "sh", "-c", [=[
    set -e; part=/$$(printf %0200d 1); part=$$part$$part$$part$$part$$part$$part
    mkdir -p one$$part$$part two$$part$$part; touch two$$part$$part/f; mv two one$$part$$part]=] } },
  gives = { patch "/workspace" },
}]==])
    assert.equal(0, code, out .. err)
    assert.truthy(out:find("left out of the patch: could not open directory", 1, true), out)
  end)

  it("opens what the agent locked away", function()
    local _, record = run "echo secret > locked; chmod 000 locked; chmod 000 text; mkdir d; echo x > d/x; chmod 0300 d"
    local code = runs.shell("grep -q 'b/locked' " .. record .. "/workspace.patch && grep -q b/d/x " .. record
      .. "/workspace.patch")
    assert.equal(0, code)
  end)

  it("holds the true bytes whatever .gitattributes says", function()
    local _, record = run [[
      printf '* text eol=crlf\n*.i ident\n*.d -diff\n*.t diff=evil\n' > .gitattributes
      printf 'unix\n' > plain; printf '$Id: mine $\n' > x.i; printf 'd\n' > x.d; printf 't\n' > x.t; echo z >> crlf]]
    local text = runs.read(record .. "/workspace.patch")
    assert.truthy(text:find("\n+unix\n", 1, true))
    assert.truthy(text:find("\n+$Id: mine $\n", 1, true))
    assert.truthy(text:find("\n+d\n", 1, true), "no attribute turns the text of a file into a blob")
    assert.truthy(text:find("\n+t\n", 1, true))
  end)

  it("holds the true bytes of files with an encoding of their own", function()
    local text = run [[printf '*.u working-tree-encoding=UTF-16\n' > .gitattributes; printf 'plain ascii\n' > a.u]]
    assert.truthy(text:find("\n+plain ascii\n", 1, true))
  end)

  it("(control) a git that is used on the tree itself does run its filters", function()
    local canary = folder .. "/canary"
    local code = runs.shell("cd '" .. folder .. "/base' && echo '* filter=evil' > .gitattributes && git config "
      .. "filter.evil.clean 'touch " .. canary .. "; cat' && echo changed >> text && git add -A")
    assert.equal(0, code)
    assert.is_not_nil(runs.read(canary))
  end)

  -- Each of these would make a file if anything ran on the host: the canary's path exists there, and not in
  -- the box.
  describe("runs nothing of a hostile tree on the host:", function()
    local function hostile(work)
      local canary = folder .. "/canary"
      local touch = "/usr/bin/touch " .. canary
      local text, record = run((work:gsub("TOUCH", function() return touch end)))
      assert.is_nil(runs.read(canary))
      assert.truthy(text:find("\n+changed\n", 1, true))
      return record, text
    end

    it("hooks", function()
      hostile [[for h in post-index-change pre-commit post-checkout reference-transaction fsmonitor-watchman; do
        printf '#!/bin/sh\nTOUCH; exit 1\n' > .git/hooks/$h; chmod 755 .git/hooks/$h; done; echo changed >> text]]
    end)

    it("configuration", function()
      hostile [[cat >> .git/config <<'X'
[core]
	fsmonitor = "TOUCH; false"
	sshCommand = "TOUCH"
	pager = "TOUCH"
	hooksPath = /workspace
	attributesFile = /workspace/evil
	worktree = /etc
	excludesFile = /workspace/everything
[alias]
	add = "!TOUCH"
	diff = "!TOUCH"
[include]
	path = /workspace/more
[diff]
	external = "TOUCH"
	noprefix = true
[filter "evil"]
	clean = "TOUCH"
	required = true
X
        echo '*' > everything; echo '* filter=evil diff=evil' > evil
        cp .git/config more; cp .git/config /home/agent/.gitconfig; echo changed >> text]]
    end)

    it("filters and text conversions", function()
      hostile [[printf '* filter=evil diff=evil merge=evil\n' > .gitattributes
        git config filter.evil.clean 'TOUCH; cat'; git config filter.evil.process TOUCH
        git config filter.evil.required true; git config diff.evil.textconv TOUCH; git config diff.evil.command TOUCH
        echo changed >> text]]
    end)

    it("a .git that is gone, a file, a symlink or a repository of somebody else", function()
      hostile "rm -rf .git; echo changed >> text"
      hostile "rm -rf .git; echo 'gitdir: /run/moonbox/patch/sha1.git' > .git; echo changed >> text"
      hostile "rm -rf .git; ln -s /run/moonbox/patch/sha1.git .git; echo changed >> text"
      hostile "rm -rf .git; git init -q --bare .git; git -C .git config core.bare false; echo changed >> text"
    end)

    it("programs of the same name in the PATH, and shells' startup files", function()
      hostile [[for p in git find head tee test; do printf '#!/bin/sh\nTOUCH\n' > /home/agent/$p; done
        chmod 755 /home/agent/*; echo 'TOUCH' > /home/agent/.profile; echo changed >> text]]
    end)

    it("a hidden change under a marked index", function()
      hostile "git update-index --assume-unchanged text; git update-index --skip-worktree text; echo changed >> text"
    end)
  end)

  it("doesn't let a step reach its repository", function()
    local _, record = run [[
      ls -la /run/moonbox/patch && exit 1; mkdir -p /run/moonbox/patch && exit 1; find / -name sha1.git | grep . && exit 1
      exit 0]]
    reproduces(record)
  end)

  it("doesn't let a change hide behind `git init`", function()
    local text = run "git init -q dir; echo changed >> dir/deep/file"
    assert.truthy(text:find("\n+changed\n", 1, true))
  end)

  it("leaves out repositories below, and says so", function()
    local text, record, notices = run [[
      git init -q sub; echo x > sub/x; git init -q full; (cd full; echo y > y; git add -A
      git -c user.name=a -c user.email=a@b commit -qm x); git init -q 'odd
name:(top)'; mkdir node_modules; git init -q node_modules/ignored; echo new > new]]
    assert.truthy(text:find("\n+new\n", 1, true))
    assert.is_nil(text:find("Subproject", 1, true))
    assert.truthy(notices:find("/workspace/sub is a repository of its own", 1, true))
    assert.truthy(notices:find("/workspace/full is a repository of its own", 1, true))
    assert.is_nil(notices:find("node_modules", 1, true))
    assert.is_not_nil(record)
  end)

  it("leaves out names that attack a checkout on another system, and says so", function()
    local text, _, notices = run [[mkdir .GIT 'git~1'; echo x > .GIT/config; echo x > 'git~1/config'; echo new > new]]
    assert.truthy(text:find("\n+new\n", 1, true))
    assert.is_nil(text:find("config", 1, true))
    assert.truthy(notices:find("invalid path '.GIT/config'", 1, true))
  end)

  it("tells what in it other programs would obey by themselves", function()
    local _, _, notices = run "mkdir -p .vscode; echo x > .vscode/tasks.json; echo x > dir/.envrc; echo x > plain"
    assert.equal("the patch changes what other programs obey by themselves: .vscode/tasks.json, dir/.envrc", notices)
  end)

  it("follows no symlink out of the directory", function()
    local text = run "rm -r dir; ln -s /etc dir; echo new > new"
    assert.truthy(text:find("\n+/etc\n", 1, true))
    assert.is_nil(text:find("passwd", 1, true))
  end)

  it("isn't blocked by a pipe or a socket in the tree", function()
    local text, _, notices = run "mkfifo pipe; rm text; mkfifo text; echo new > new"
    assert.truthy(text:find("\n+new\n", 1, true))
    assert.truthy(notices:find("left out of the patch: text: can only add regular files", 1, true))
  end)

  it("starts after the step that `since` names", function()
    local code, out, err, record = runs.pipeline(folder, [[
return pipeline "since" {
  policy = "offline",
  step "a" { run = { "sh", "-c", "echo a > a" } },
  step "b" { run = { "sh", "-c", "echo b > b" } },
  step "c" { run = { "sh", "-c", "echo c > c" } },
  gives = { patch { "/workspace", since = "b" } },
}]])
    assert.equal(0, code, out .. err)
    local text = runs.read(record .. "/workspace.patch")
    assert.truthy(text:find("b/c\n", 1, true))
    assert.is_nil(text:find("b/b\n", 1, true))
  end)

  it("is brought back from a task that failed, too", function()
    local code, _, _, record = runs.pipeline(folder, [[
return pipeline "fails" {
  policy = "offline",
  step "a" { run = { "sh", "-c", "echo a > a" } },
  step "b" { run = { "sh", "-c", "echo b > b; exit 9" } },
  gives = { patch "/workspace" },
}]])
    assert.equal(9, code)
    assert.truthy(runs.read(record .. "/workspace.patch"):find("b/b\n", 1, true))
  end)
end)
