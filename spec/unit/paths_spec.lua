local paths = require "moonbox.paths"

local function env(values) return function(name) return values[name] end end

describe("a path in a policy", function()
  it("is absolute and normal", function()
    for _, path in ipairs { "/", "/usr", "/a b/c", "/.hidden", "/a..b", "/...", ("/a"):rep(128) } do
      assert.is_nil(paths.wrong(path), path)
    end
    for _, path in ipairs { "", "usr", "~/x", "/a/", "//a", "/a//b", "/.", "/a/.", "/..", "/a/../b", "/a\0b",
      "/a\nb",
      "$HOME/x", "/" .. ("a"):rep(256), ("/a"):rep(2001), ("/a"):rep(129), 4, {} } do
      assert.is_string(paths.wrong(path), tostring(path))
    end
  end)

  it("is no place that moonbox or the kernel owns", function()
    for _, path in ipairs { "/", "/proc", "/proc/sys", "/sys", "/dev", "/dev/null", "/run/moonbox",
      "/run/moonbox/x" } do
      assert.is_string(paths.target("bind", path), path)
    end
    assert.is_nil(paths.target("scratch", "/dev/shm"))
    assert.is_string(paths.target("bind", "/dev/shm"))
    assert.is_nil(paths.target("bind", "/processes"))
    assert.is_nil(paths.target("read_only", "/usr"))
  end)

  it("is not writable below system directories", function()
    for _, path in ipairs { "/usr", "/usr/local", "/etc", "/bin", "/lib64/x", "/boot" } do
      assert.is_string(paths.target("read_write", path), path)
      assert.is_string(paths.target("scratch", path), path)
    end
    for _, path in ipairs { "/workspace", "/home/agent", "/opt/x", "/var/cache", "/usrlocal" } do
      assert.is_nil(paths.target("read_write", path), path)
    end
  end)

  it("shows nothing of the host that controls the host", function()
    local none = env {}
    for _, path in ipairs { "/", "/proc", "/proc/1", "/sys/fs", "/dev", "/dev/sda", "/run",
      "/run/docker.sock",
      "/var/run/docker.sock", "/srv/docker.sock", "/run/user/1000", "/var/lib/docker/volumes",
      "/var/lib/moonbox",
      "/var/lib/moonbox/tasks", "/var/lib", "/var", "/run/dbus/system_bus_socket" } do
      assert.is_string(paths.source(path, none), path)
    end
    for _, path in ipairs { "/usr", "/etc/ssl", "/srv/data", "/var/cache", "/home/me/project", "/runner" } do
      assert.is_nil(paths.source(path, none), path)
    end
  end)

  it("keeps the state directory out, wherever it is", function()
    local mine = env { HOME = "/home/me", XDG_STATE_HOME = "/data/state", MOONBOX_STATE = "/srv/box/" }
    for _, path in ipairs { "/home/me/.local/state/moonbox", "/home/me", "/home", "/data/state/moonbox/x",
      "/data", "/srv",
      "/srv/box", "/srv/box/tasks" } do
      assert.is_string(paths.source(path, mine), path)
    end
    assert.is_nil(paths.source("/home/me/project", mine))
    assert.is_nil(paths.source("/srv/boxes", mine))
  end)
end)
