-- What a directory of the host, given for writing, can be used for: its files, and not its owner's rights.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"

local MAKERS = [[
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), "refused")
high = 1 << 32
tries = {
  "chmod": lambda: os.chmod("f", 0o4755),
  "fchmod": lambda: os.fchmod(os.open("f", os.O_RDWR), 0o2755),
  "fchmodat": lambda: os.chmod("f", 0o6755, dir_fd=os.open(".", os.O_RDONLY)),
  "fchmodat2": lambda: call(452, -100, b"f", 0o4755, 0),
  "chmod, high bits": lambda: call(90, b"f", ctypes.c_long(high | 0o4755)),
  "open": lambda: call(2, b"n1", os.O_CREAT | os.O_WRONLY, 0o4755),
  "openat": lambda: os.open("n2", os.O_CREAT | os.O_WRONLY, 0o4755),
  "creat": lambda: call(85, b"n3", 0o4755),
  "mknod": lambda: call(133, b"n4", 0o104755, 0),
  "mknodat": lambda: os.mknod("n5", 0o104755, dir_fd=os.open(".", os.O_RDONLY)),
  "tmpfile": lambda: os.open(".", os.O_TMPFILE | os.O_RDWR, 0o4755),
  "openat2": lambda: call(437, -100, b"n6", (ctypes.c_ulonglong * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0), 24),
}
for name in sorted(tries):
    try:
        tries[name]()
        print(name, "done")
    except OSError as e:
        print(name, "refused", e.errno)
]]

local function set_id_files(folder)
  return box.shell("find " .. box.quote(folder) .. " -perm /6000").stdout
end

describe("a directory of the host, bound for writing", function()
  local folder

  before_each(function()
    box.enter()
    folder = box.home .. "/shared"
    box.shell(("mkdir -m 755 %s && cp /bin/true %s/f && chmod 755 %s/f"):format(folder, folder, folder))
  end)

  after_each(function() box.leave() end)

  it("gets no set-user-id or set-group-id file from inside, by any call (probe 11)", function()
    local found = box.exec({ "--bind", folder .. ":/workspace:rw" }, { "python3", "-c", MAKERS })
    assert.equal(0, found.code, found.stderr)
    assert.is_nil(found.stdout:find("done", 1, true), found.stdout)
    assert.equal(12, select(2, found.stdout:gsub("refused", "")))
    assert.equal("", set_id_files(folder))
  end)

  it("control: where nothing of the host may be written, the same calls succeed", function()
    local script = "cp /bin/true f && python3 -c " .. box.quote(MAKERS)
    local found = box.sh(script)
    assert.is_truthy(found.stdout:find("fchmod done", 1, true), found.stdout .. found.stderr)
    assert.is_truthy(found.stdout:find("openat2 done", 1, true), found.stdout)
  end)

  it("can still be worked in: files are made, changed, linked and removed", function()
    local found = box.sh("cd /workspace && echo a > a && chmod 700 a && mv a b && ln b c && mkdir d && rm c && tar cf t.tar b "
      .. "&& cd d && tar xf ../t.tar && ls", { "--bind", folder .. ":/workspace:rw" })
    assert.equal("b\n", found.stdout, found.stderr)
    assert.equal("a\n", box.read(folder .. "/d/b"))
  end)

  it("belongs outside to whom it belonged before", function()
    box.sh("echo x > /workspace/made", { "--bind", folder .. ":/workspace:rw" })
    local owners = box.shell(("stat -c %%u:%%g %s %s/made"):format(folder, folder)).stdout
    local a, b = owners:match("^(%S+)\n(%S+)\n$")
    assert.equal(a, b)
  end)

  it("is read-only without :rw", function()
    local found = box.sh("echo x > /workspace/made", { "--bind", folder .. ":/workspace" })
    assert.equal(2, found.code)
    assert.is_truthy(found.stderr:find("Read-only file system", 1, true))
  end)

  it("has over it the rows that come after it, also where an earlier row was below the same place", function()
    box.shell(("mkdir -p %s/over/z %s/other && echo z > %s/other/z"):format(folder, box.home, box.home))
    local function bound(first)
      return box.sh("cat /srv/x/z/z; echo hit > /srv/x/z/hit", { "--bind", box.home .. "/other:" .. first,
        "--bind", folder .. "/over:/srv/x:rw", "--bind", box.home .. "/other:/srv/x/z" })
    end
    for _, first in ipairs { "/opt/y", "/srv/x/y", "/srv/x/y/z" } do -- control: nothing was below it
      local found = bound(first)
      assert.equal("z\n", found.stdout, first .. ": " .. found.stderr)
      assert.is_truthy(found.stderr:find("Read-only file system", 1, true), first)
    end
    assert.equal("", box.shell("ls " .. box.quote(folder .. "/over/z")).stdout)
  end)
end)
