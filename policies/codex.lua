-- codex: an autonomous coding agent on one repository.
-- It exists because such an agent needs the machine of a developer (compilers, registries, documentation) and none of
-- what a developer's machine can also reach (internal networks, other people's files, the host itself).
return policy "codex" {
  about   = "One task, one repository, package registries and documentation, nothing internal.",
  extends = "base",

  files = {
    storage = "disk",
    -- Java keeps its security settings and trust store in /etc on Debian and Fedora.
    read_only { "/etc/java-8-openjdk", "/etc/java-11-openjdk", "/etc/java-17-openjdk", "/etc/java-21-openjdk",
      "/etc/java-25-openjdk", "/etc/java", "/etc/maven", "/etc/fonts", "/etc/perl", "/etc/python3",
      "/etc/gitattributes", "/etc/magic", optional = true },
  },

  network = {
    deny  { "internal", "*.onion", why = "internal networks and hidden services" },
    allow { ecosystem.npm, ecosystem.pypi, ecosystem.rubygems, ecosystem.cargo, ecosystem.go, ecosystem.maven,
            ecosystem.debian, ports = { 80, 443 } },
    allow { forge.github, forge.gitlab, ports = { 22, 80, 443 } },
    allow { "api.openai.com", "api.anthropic.com", ports = { 443 }, watch = true },
    allow { docs.python, docs.web, docs.rust, docs.ruby, docs.node, docs.go, docs.java, ports = { 80, 443 } },
    otherwise = "deny",
    requests  = 100 / minute,
    bandwidth = 50 * Mbit,
  },

  limits  = { cpus = 4, memory = 16 * GB, disk = 50 * GB, time = 4 * hours, processes = 4096 },
  process = { user = "agent", capabilities = { "net_bind_service" }, syscalls = "default" },
}
