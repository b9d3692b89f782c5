-- One task for a coding agent: clone, install, let the agent work, run the tests, bring back the patch.
--
--   moonbox run examples/codex-task.lua --repo=. --agent="codex exec" --prompt="Make the tests pass"
--
-- Any agent that takes its task as last argument fits. Where its program isn't below /usr, --tools names the
-- directory that it is in; that directory comes first in the PATH of the agent's step and is mounted in no other.
-- For an address like git@github.com:…, --keys names a directory with an ssh key; only the clone's step sees it.
return pipeline "codex-task" {
  about  = "Clone, install, let the agent work, bring back the patch.",
  policy = "codex",
  needs  = {
    repo   = repository { about = "the git repository to work on: a local path, or an address that the policy allows" },
    prompt = text { about = "what the agent is asked to do" },
    agent  = command { about = "the agent's command line, without the prompt", default = "codex exec" },
    tools  = folder { about = "the directory of the agent's program", at = "/opt/agent", default = "/usr/local/bin" },
    keys   = folder { about = "a directory with an ssh key, `id`, and `known_hosts`, for an address with git@",
                      at = "/opt/keys", default = "/usr/local/bin" },
  },

  step "clone"   { run = { "git", "clone", "--depth=1", "--", "$repo", "/workspace" },
                   env = { GIT_SSH_COMMAND = "ssh -i $keys/id -o UserKnownHostsFile=$keys/known_hosts" },
                   network = { only { forge.github, forge.gitlab } }, time = 5 * minutes },
  step "install" { run = { "npm", "ci", "--no-audit", "--no-fund", "--no-update-notifier" },
                   network = { only { ecosystem.npm } }, time = 15 * minutes },
  step "agent"   { run = { "$agent", "$prompt" }, env = { PATH = "$tools:/usr/local/bin:/usr/bin:/bin" },
                   time = 2 * hours },
  step "verify"  { run = { "npm", "test" }, network = "none", time = 15 * minutes, allow_failure = true },

  gives = { patch "/workspace" },
}
