-- The filters, asked by a simulator: every number, every argument rule, high bits, foreign architectures.
local core = require("moonbox.core")
local bpf = require("spec.support.bpf")
local syscalls = require("spec.support.syscalls")

local ARCH = core.seccomp.arch
local I386, ARM = 0x40000003, 0x40000028
local HIGH = 2 ^ 32

local function numbers_by_name()
  local _, names = core.seccomp.table("default")
  local numbers = {}
  for number, name in pairs(names) do numbers[name] = number end
  return numbers
end

local NR = numbers_by_name()

local function load_programs(profile)
  local programs = core.seccomp.program(profile)
  for _, program in ipairs(programs) do program.reached = {} end
  return programs
end

local function ask(programs, name, ...)
  return bpf.together(programs, { nr = assert(NR[name], name), arch = ARCH, args = { ... } })
end

-- By socket type, the protocol that is its own.
local INET_TYPES = { [1] = 6, [2] = 17 }

local function socket_answer(family, kind, protocol)
  if family == 1 then return "allow" end
  if family == 16 then return protocol == 0 and "allow" or "EAFNOSUPPORT" end
  if family ~= 2 and family ~= 10 then return "EAFNOSUPPORT" end
  local own = INET_TYPES[kind % 16]
  return own and (protocol == 0 or protocol == own) and "allow" or "EAFNOSUPPORT"
end

local PERSONALITIES = { 0, 8, 0x20000, 0x20008, 0x40000, 0xffffffff }

local function check_sockets(programs)
  for family = 0, 46 do
    for kind = 0, 15 do
      for protocol = 0, 262 do
        local want = socket_answer(family, kind, protocol)
        assert.are.equal(want, ask(programs, "socket", family, kind, protocol))
      end
    end
    assert.are.equal(family == 1 and "allow" or "EAFNOSUPPORT", ask(programs, "socketpair", family, 1, 0))
  end
  local CLOEXEC_NONBLOCK = 0x80800
  assert.are.equal("allow", ask(programs, "socket", 2, 1 + CLOEXEC_NONBLOCK, 0))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 2, 3 + CLOEXEC_NONBLOCK, 0))
  for _, family in ipairs { 17, 38, 40 } do -- packet, alg and vsock, behind high bits
    assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", family + HIGH, 1, 0))
  end
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 1 + HIGH, 1, 0))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socketpair", 2 + HIGH, 1, 0))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 2, 1 + HIGH, 262))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 2, 3 + HIGH, 0))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 2, 1, 262 + HIGH))
  assert.are.equal("EAFNOSUPPORT", ask(programs, "socket", 16, 3, 4 + HIGH))
end

local function check_personality(programs)
  local allowed = {}
  for _, value in ipairs(PERSONALITIES) do allowed[value] = true end
  local function check(value)
    local want = allowed[value] and "allow" or "EPERM"
    assert.are.equal(want, ask(programs, "personality", value), ("personality(0x%x)"):format(value))
    assert.are.equal(want, ask(programs, "personality", value + HIGH))
  end
  for _, value in ipairs(PERSONALITIES) do
    check(value)
    for i = 0, 31 do
      check((value + 2 ^ i) % HIGH)
      check((value - 2 ^ i) % HIGH)
    end
  end
  for i = 0, 31 do
    for j = 0, 31 do check(i == j and 2 ^ i or 2 ^ i + 2 ^ j) end
  end
end

local function check_flags(programs)
  for _, flag in ipairs { 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000 } do
    assert.are.equal("EPERM", ask(programs, "clone", flag))
    assert.are.equal("EPERM", ask(programs, "clone", flag + 17))
    assert.are.equal("EPERM", ask(programs, "clone", flag + 17 + HIGH))
  end
  local THREAD, FORK, VFORK = 0x3d0f00, 0x01200011, 0x4111
  for _, flags in ipairs { THREAD, FORK, VFORK, 17 } do
    assert.are.equal("allow", ask(programs, "clone", flags))
  end
  for _, request in ipairs { 0x5412, 0x541C, 0x5423, 0xC0045877, 0xC0185879 } do
    assert.are.equal("EPERM", ask(programs, "ioctl", 0, request))
    assert.are.equal("EPERM", ask(programs, "ioctl", 0, request + HIGH))
  end
  for _, request in ipairs { 0x5401, 0x540E, 0x5413, 0x541B, 0x5421, 0x5450 } do -- TCGETS, TIOCSCTTY, ...
    assert.are.equal("allow", ask(programs, "ioctl", 0, request))
  end
  assert.are.equal("EPERM", ask(programs, "setsockopt", 3, 6, 31))
  assert.are.equal("EPERM", ask(programs, "setsockopt", 3, 6 + HIGH, 31 + HIGH))
  assert.are.equal("allow", ask(programs, "setsockopt", 3, 6, 1))
  assert.are.equal("allow", ask(programs, "setsockopt", 3, 1, 31))
end

local function check_numbers(programs, wanted)
  for number = 0, 600 do
    local want = wanted[number] or "ENOSYS"
    if want ~= "conditional" then
      local got = bpf.together(programs, { nr = number, arch = ARCH, args = {} })
      assert.are.equal(want, got, "call " .. number)
    end
  end
end

local function check_foreign(programs)
  for number = 0, 600 do
    assert.are.equal("kill", bpf.together(programs, { nr = number, arch = I386 }))
    assert.are.equal("kill", bpf.together(programs, { nr = number, arch = ARM }))
    assert.are.equal("kill", bpf.together(programs, { nr = 0x40000000 + number, arch = ARCH }))
  end
  assert.are.equal("ENOSYS", bpf.together(programs, { nr = 0xffffffff, arch = ARCH }))
  assert.are.equal("kill", bpf.together(programs, { nr = 0xfffffffe, arch = ARCH }))
end

-- The instructions that some call can reach. libseccomp tests the high half even where a rule's mask is zero
-- there, which can't fail, and ends a program with an answer that nothing jumps to.
local function reachable(program)
  local found, queue = {}, { 1 }
  while #queue > 0 do
    local at = table.remove(queue)
    if not found[at] then
      found[at] = true
      local i, before = program[at], program[at - 1]
      local always = i.code == 0x15 and i.k == 0 and before.code == 0x54 and before.k == 0
      if i.code == 0x05 then
        queue[#queue + 1] = at + 1 + i.k
      elseif i.code % 8 == 5 then
        queue[#queue + 1] = at + 1 + i.jt
        queue[#queue + 1] = not always and at + 1 + i.jf or nil
      elseif i.code ~= 0x06 then
        queue[#queue + 1] = at + 1
      end
    end
  end
  return found
end

describe("system call filters", function()
  for _, profile in ipairs(core.seccomp.profiles()) do
    it("answer as the table says, and no instruction is untested: " .. profile, function()
      local programs = load_programs(profile)
      check_numbers(programs, (core.seccomp.table(profile)))
      check_sockets(programs)
      check_personality(programs)
      check_flags(programs)
      check_foreign(programs)
      for _, program in ipairs(programs) do
        for at in pairs(reachable(program)) do
          assert(program.reached[at], ("%s: no case reaches instruction %d"):format(program.name, at))
        end
      end
    end)

    it("stay small: " .. profile, function()
      for _, program in ipairs(core.seccomp.program(profile)) do assert(#program < 512, program.name) end
    end)
  end

  it("differ between the profiles only where a process looks into another", function()
    local standard, names = core.seccomp.table("default")
    local strict, differing = core.seccomp.table("strict"), {}
    for number, answer in pairs(standard) do
      if strict[number] ~= answer then differing[#differing + 1] = names[number] end
    end
    table.sort(differing)
    assert.are.same({ "process_vm_readv", "process_vm_writev", "ptrace" }, differing)
  end)

  it("have a row for every number of the architecture", function()
    local rows = core.seccomp.table("default")
    if ARCH == 0xC000003E then
      for number = 0, 334 do assert(rows[number], "no row for " .. number) end
    end
    for number = 424, 470 do assert(rows[number], "no row for " .. number) end
  end)

  it("refuse by the answer that callers have a fallback for", function()
    local programs = load_programs("default")
    for name, want in pairs {
      clone3 = "ENOSYS", io_uring_setup = "ENOSYS", fsopen = "ENOSYS", statmount = "ENOSYS", mount = "EPERM",
      unshare = "EPERM", setns = "EPERM", keyctl = "EPERM", bpf = "EPERM", userfaultfd = "EPERM",
      execve = "allow", openat2 = "allow", close_range = "allow", seccomp = "allow", memfd_create = "allow",
      pidfd_open = "allow",
    } do
      assert.are.equal(want, ask(programs, name), name)
    end
  end)

  it("of commands with groups of their own answer the same, and those of their init differ by clone3 alone", function()
    for _, profile in ipairs(core.seccomp.profiles()) do
      local all, init = load_programs(profile), core.seccomp.program(profile, "init")
      local command = core.seccomp.program(profile, "command")
      assert.same({ 2, 2, 3 }, { #all, #init, #command })
      for _, arch in ipairs { ARCH, I386, ARM } do
        for number = 0, 1023 do
          local call = { nr = number, arch = arch, args = { 0, 0, 0 } }
          local want = bpf.together(all, call)
          assert.equal(want, bpf.together(command, call), number)
          local own = arch == ARCH and number == NR.clone3 and "allow" or want
          assert.equal(own, bpf.together(init, call), number)
        end
      end
      assert.equal("kill", bpf.together(command, { nr = NR.clone3 + 2 ^ 30, arch = 0xC000003E, args = {} }))
    end
    assert.has_error(function() core.seccomp.program("default", "other") end)
  end)

  it("raise on a profile that doesn't exist", function()
    assert.has_error(function() core.seccomp.table("loose") end)
  end)
end)

describe("the comparison with live answers", function()
  it("finds each difference and takes each fitting answer", function()
    local wanted, text = core.seccomp.table("default"), {}
    for number = 0, 600 do
      local want = wanted[number] or "ENOSYS"
      if want == "allow" or want == "conditional" then want = "EFAULT" end
      text[#text + 1] = number .. " " .. want
    end
    local good = syscalls.parse(table.concat(text, "\n"))
    assert.are.same({}, syscalls.differences(good, wanted))
    good[NR.mount], good[NR.read], good[600] = "EFAULT", "signal:SYS", "EPERM"
    assert.are.equal(3, #syscalls.differences(good, wanted))
  end)
end)

-- The helpers by themselves, without a sandbox around them: "filtered" puts only the filters on.
describe("the filters in the kernel", function()
  local folder = os.tmpname()
  local function compile(name, more)
    return os.execute(("cc -std=c11 -D_GNU_SOURCE -Ibuild -o %s/%s spec/helpers/%s.c %s"):format(folder, name,
      name,
      more or "")) == 0
  end
  local function output(command)
    local pipe = io.popen(folder .. "/filtered " .. command:gsub("@", folder .. "/") .. " 2>&1")
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  setup(function()
    os.remove(folder)
    assert(os.execute("mkdir -m 0700 " .. folder) == 0)
    assert(compile("trysyscall") and compile("filtered", "core/seccomp.c core/err.c"))
  end)
  teardown(function()
    for _, name in ipairs { "/trysyscall", "/filtered", "" } do os.remove(folder .. name) end
  end)

  for _, profile in ipairs(core.seccomp.profiles()) do
    it("answer every number from 0 to 600 as the table says: " .. profile, function()
      local answers = syscalls.parse(output(profile .. " @trysyscall"))
      assert.are.same({}, syscalls.differences(answers, (core.seccomp.table(profile))))
    end)
  end

  it("kill foreign entries and refuse arguments", function()
    if ARCH == 0xC000003E then
      assert.equal("signal:SYS\n", output("default @trysyscall int80"))
      assert.equal("signal:SYS\n", output("default @trysyscall 0x40000027"))
    end
    for arguments, want in pairs {
      [NR.ioctl .. " 0 0x5412"] = "EPERM", [NR.ioctl .. " 0 0x100005412"] = "EPERM",
      [NR.socket .. " 17 3 0"] = "EAFNOSUPPORT", [NR.socket .. " 0x100000011 3 0"] = "EAFNOSUPPORT",
      [NR.socket .. " 2 1 262"] = "EAFNOSUPPORT", [NR.socket .. " 2 0x80801 0"] = "ok",
      [NR.socket .. " 16 3 0"] = "ok", [NR.socketpair .. " 2 1 0"] = "EAFNOSUPPORT",
      [NR.personality .. " 0xffffffff"] = "ok", [NR.personality .. " 0x40000"] = "ok",
      [NR.personality .. " 0x400000"] = "EPERM", [NR.clone .. " 0x10000011"] = "EPERM",
      [NR.clone .. " 0x11"] = "ok", [NR.clone3 .. " 0 0"] = "ENOSYS",
    } do
      assert.equal(want .. "\n", output("default @trysyscall " .. arguments), arguments)
    end
  end)

  it("go into the kernel in less than five milliseconds", function()
    assert(tonumber(output("default --time")) < 5000)
  end)
end)
