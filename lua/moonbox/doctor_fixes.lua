--- What to do about each thing that a host refuses: a sentence why, a command for now, and how to make it
-- last. Each entry maps a probe's name to function(fact, host) -> { why =, now =, lasting = }, any of them
-- nil. `host` is { facts = by name, root =, user =, executable =, state = }.
local M = {}

local function sysctl(name, value, why)
  return { why = why, now = ("sudo sysctl -w %s=%s"):format(name, value),
    lasting = ("echo '%s = %s' | sudo tee /etc/sysctl.d/60-moonbox.conf"):format(name, value) }
end

local function value_of(host, name)
  local fact = host.facts["sysctl." .. name]
  return fact and fact.ok and fact.detail or nil
end

local CONTAINER = {
  why = "a container's system call filter is on moonbox itself and refuses it",
  now = "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
  lasting = "write both under security_opt: in the compose file",
}

-- AppArmor's restriction (Ubuntu 23.10 and later) gives the namespace and takes the capabilities in it.
local function apparmor(host)
  return { why = "AppArmor keeps ordinary users' programs from using user namespaces",
    now = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    lasting = ("printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile moonbox %s "
      .. "flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/moonbox "
      .. "&& sudo apparmor_parser -r /etc/apparmor.d/moonbox")
      :format(host.executable) }
end

local function namespaces(fact, host)
  if not host.root and value_of(host, "unprivileged_userns_clone") == "0" then
    return sysctl("kernel.unprivileged_userns_clone", 1, "this kernel lets only root make user namespaces")
  elseif value_of(host, "max_user_namespaces") == "0" or fact.code == "ENOSPC" then
    return sysctl("user.max_user_namespaces", 15000,
      "the number of user namespaces is limited to what is in use")
  elseif not host.root and value_of(host, "apparmor_restrict_unprivileged_userns") == "1" then
    return apparmor(host)
  elseif host.facts.confined and not host.facts.confined.ok then
    return CONTAINER
  elseif fact.code == "ENOSYS" or fact.code == "EINVAL" then
    return { why = "this kernel is built without them",
      now = "boot a kernel with CONFIG_USER_NS and the other namespaces (Debian's and Ubuntu's have them)" }
  end
  return { why = "a security module or a container around moonbox refuses it",
    now = "run moonbox outside of the container, or give the container --privileged" }
end

M.user_namespace, M.mount_namespace = namespaces, namespaces
M.network_namespace, M.other_namespaces = namespaces, namespaces

function M.proc(fact, host)
  if not host.facts.mount_namespace.ok then return namespaces(fact, host) end
  return { why = "the /proc of this container is partly covered, and the kernel then gives no new one",
    now = "start the container with --security-opt systempaths=unconfined "
      .. "(podman: --security-opt unmask=ALL)",
    lasting = "write it under security_opt: in the compose file" }
end

local function kernel_call(fact, host)
  if host.facts.user_namespace and not host.facts.user_namespace.ok
    and fact.detail:match("user namespace") then
    return namespaces(fact, host)
  elseif host.facts.confined and not host.facts.confined.ok then
    return CONTAINER
  end
  return { why = "this kernel is too old",
    now = "boot Linux 5.12 or later: sudo apt-get install linux-image-amd64, and reboot (Debian 12 has 6.1)" }
end

M.mount_api, M.clone3, M.pidfd, M.openat2, M.close_range = kernel_call, kernel_call, kernel_call, kernel_call,
  kernel_call

local NOT_WRITABLE = "moonbox can't write where its state would be"

local function other_state(why)
  return { why = why, now = "MOONBOX_STATE=/a/folder/on/ext4/xfs/or/btrfs moonbox ...",
    lasting = "export MOONBOX_STATE=... in ~/.profile" }
end

function M.overlay(fact, host)
  if fact.detail:match("^make a folder in") then return other_state(NOT_WRITABLE) end
  if not host.facts.mount_namespace.ok then return namespaces(fact, host) end
  if fact.code == "ENODEV" then
    return { why = "the kernel's overlay module is not loaded", now = "sudo modprobe overlay",
      lasting = "echo overlay | sudo tee /etc/modules-load.d/overlay.conf" }
  elseif fact.code == "EPERM" and host.facts.overlay_tmpfs and host.facts.overlay_tmpfs.code == "EPERM" then
    return { why = "this kernel gives overlays to root only",
      now = "boot Linux 5.11 or later: sudo apt-get install linux-image-amd64, and reboot" }
  end
  return other_state("the filesystem of the state folder can't carry an overlay")
end

function M.overlay_tmpfs()
  return { why = "only needed for layers in memory; Linux 6.6 and later can" }
end

function M.user_xattr(fact)
  if fact.detail:match("^make a folder in") then return other_state(NOT_WRITABLE) end
  return other_state("an overlay keeps its notes in user attributes")
end

local function subordinate(_, host)
  return { why = 'only policies with ids = "subordinate" need them',
    now = ("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s"):format(host.user),
    lasting = "that is for good; where several users have some, take a range that /etc/subuid doesn't list" }
end

-- Root of a container that has but a few ids, or root without its capabilities.
function M.id_range()
  return { why = "this root may not give sandboxes ids of their own: it is a container's, or lacks capabilities",
    now = "run moonbox as an ordinary user, or as a root with all ids and CAP_SETUID, CAP_SETGID, CAP_CHOWN and "
      .. "CAP_SYS_ADMIN" }
end

M.subuid, M.subgid = subordinate, subordinate

local function id_helper(fact)
  if fact.code == "EPERM" then
    local path = fact.detail:match("^(%S+)")
    return { why = "it can only work with root's rights", now = "sudo chmod u+s " .. path,
      lasting = "sudo apt-get install --reinstall uidmap" }
  end
  return { why = 'only policies with ids = "subordinate" need it', now = "sudo apt-get install uidmap" }
end

M.newuidmap, M.newgidmap = id_helper, id_helper

function M.seccomp(fact)
  return { why = fact.code == "EPERM" and "a security module refuses it"
    or "this kernel is built without filters",
    now = "boot a kernel with CONFIG_SECCOMP_FILTER (Debian's and Ubuntu's have it)" }
end

function M.landlock()
  return { why = "a second wall around files, not used yet; moonbox works without it",
    now = "boot Linux 5.13 or later",
    lasting = "add landlock to the lsm= list of the kernel's command line" }
end

local function groups(_, host)
  local version = host.facts["cgroup.version"]
  if host.root then
    return { why = "without it the limit is watched, or held by rlimits and affinity",
      now = "mount control groups writable "
        .. "(in a container: --cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw)",
      lasting = "boot with systemd.unified_cgroup_hierarchy=1" }
  elseif version and version.ok and version.detail:match("^version 1") then
    return { why = "without it the limit is watched, or held by rlimits and affinity",
      now = ('for c in cpu memory pids; do sudo mkdir -p /sys/fs/cgroup/$c/moonbox && sudo chown -R %s '
        .. '/sys/fs/cgroup/$c/moonbox; done'):format(host.user),
      lasting = "boot with systemd.unified_cgroup_hierarchy=1, where systemd gives users their own groups" }
  end
  return { why = "without it the limit is watched, or held by rlimits and affinity",
    now = "systemd-run --user --scope -p Delegate=yes -- moonbox ...",
    lasting = "sudo mkdir -p /etc/systemd/system/user@.service.d "
      .. "&& printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee -a "
      .. "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, "
      .. "and log in again" }
end

-- Version 1 limits the use of disks for root alone.
M["cgroup.io"] = function(fact, host)
  local fix, version = groups(fact, host), host.facts["cgroup.version"]
  if not host.root and version and version.ok and version.detail:match("^version 1") then fix.now = nil end
  fix.why = "without it policies that limit the use of disks (disk_read, disk_write) are refused"
  return fix
end

M["cgroup.cpu"], M["cgroup.memory"], M["cgroup.pids"], M["cgroup.version"] = groups, groups, groups, groups

M["cgroup.kill"] = function()
  return { why = "a sandbox still ends with its process 1; a version 2 group (Linux 5.14) is a second way" }
end

function M.memory_peak() return { why = "the record then has no highest memory use; Linux 5.19 has it" } end

function M.idmapped_mount(_, host)
  return { why = host.root
    and "this filesystem can't (ext4, xfs, btrfs, and tmpfs from Linux 6.3 can); not used yet"
    or "only root can; not used yet" }
end

-- The kernel loads these by itself where they are installed and it may; what it says then is in the row.
local function modules(why, ...)
  local names = table.concat({ ... }, " ")
  return { why = why, now = "sudo modprobe -a " .. names,
    lasting = ("printf '%%s\\n' %s | sudo tee -a /etc/modules-load.d/moonbox.conf"):format(names) }
end

local function network_part(why, ...)
  local names = { ... }
  return function(_, host)
    local network = host.facts.network_namespace
    if network and not network.ok then return namespaces(network, host) end
    return modules(why, unpack(names))
  end
end

M.nftables = network_part("policies with a network need it", "nf_tables")
M.nft_tproxy = network_part("policies with a network need it", "nft_tproxy")
M.nft_log = network_part("policies with a network need it", "nft_log", "nfnetlink_log", "nft_reject_inet")
M.nft_queue = network_part("without it a connection that will be refused is accepted first, then reset",
  "nft_queue", "nfnetlink_queue")

-- Its parts have rows of their own; what is left is in the sentence.
function M.capture(fact, host)
  local network = host.facts.network_namespace
  if network and not network.ok then return namespaces(network, host) end
  if fact.detail:match("ipv6%.disable") then
    return { why = "the gateway listens on one socket for IPv4 and IPv6",
      now = "boot without ipv6.disable=1; net.ipv6.conf.all.disable_ipv6=1 may stay" }
  end
  local names = fact.detail:match("kernel modules? ([%w_, ]+)%)")
  if names then return modules("policies with a network need it", (names:gsub(",", ""))) end
  return { why = "policies with a network need it",
    now = "boot a kernel with CONFIG_NF_TABLES_INET (Debian's and Ubuntu's have it)" }
end

function M.fuse(fact, host)
  return { why = "not used yet", now = fact.code == "ENOENT" and "sudo modprobe fuse"
    or not host.root and "sudo chmod 0666 /dev/fuse" or nil }
end

function M.kvm(fact)
  if fact.detail:match("emulates") or fact.detail:match("doesn't run") then
    return { why = "present but not to be trusted: virtual machines, not used yet, would crawl or crash" }
  end
  return { why = "for virtual machines, not used yet",
    now = fact.code == "EACCES" and "sudo usermod --append --groups kvm $USER, and log in again" or nil }
end

function M.loop(fact, host)
  if fact.detail:match("^make a folder in") then return other_state(NOT_WRITABLE) end
  if fact.detail:match("disk image in") then
    return other_state("the filesystem of the state folder can't hold disk images, so a disk limit is watched")
  end
  if not host.root then return { why = "for disk limits that the kernel holds; only root can use them" } end
  return { why = "without them a disk limit is watched", now = "sudo modprobe loop",
    lasting = "echo loop | sudo tee /etc/modules-load.d/loop.conf" }
end

function M.git()
  return { why = "pipelines clone and make patches with it", now = "sudo apt-get install git" }
end

function M.confined() return { why = "what it refuses shows in the rows above and below" } end

return M
