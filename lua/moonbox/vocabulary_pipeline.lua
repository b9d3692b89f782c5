--- The words of pipeline files, and of parameters (moonbox.vocabulary).
local both, policy, pipeline = { "policy", "pipeline" }, { "policy" }, { "pipeline" }

--- Makes the entries: `word` and `key` as in moonbox.vocabulary.
return function(word, key)
  word("container", pipeline, "file", "pipeline",
    "Names a pipeline and holds its steps; a pipeline file returns one.")
  word("container", pipeline, "pipeline", "step",
    "One step: a command or a Lua function, run in a fresh sandbox over the task's files.")

  key("pipeline", "about", "text", "Says in a sentence what the pipeline does.")
  key("pipeline", "policy", "text", "The policy that every step runs under: a shipped name or a path.",
    { default = "base" })
  key("pipeline", "needs", "needs", "The parameters, by name; each becomes an option of `moonbox run`.")
  key("policy", "needs", "needs",
    "The parameters, by name, given as --name=value where the policy is named; `$name` in a text of the file stands for"
    .. " one, whole, and `$$` for a dollar sign; without `needs` a dollar sign means itself.")
  key("pipeline", "gives", "gives",
    "What is brought back at the end: patches and files, by their paths inside.")
  word("row", pipeline, "network", "only",
    "Narrows a step to these names, each of which the policy must allow; the step publishes no port.")
  word("type", both, "needs", "text", "A parameter that is any text.")
  word("type", both, "needs", "number", "A parameter that is a number.")
  word("type", both, "needs", "choice", "A parameter that is one of the listed words.")
  word("type", policy, "needs", "size", "A parameter that is a size, given as 512MB or 4GB.")
  word("type", policy, "needs", "time", "A parameter that is a time, given as 30s, 5m or 2h.")
  word("type", pipeline, "needs", "repository",
    "A parameter that is a git repository: a local path, shown read-only, or an address.")
  word("type", pipeline, "needs", "folder", "A parameter that is a directory of the host, shown read-only.")
  word("type", pipeline, "needs", "command",
    "A parameter that is a command line, split at spaces into arguments without a shell.")
  for _, place in ipairs { "text", "number", "choice", "repository", "folder", "command" } do
    key(place, "about", "text", "Says in a sentence what the parameter is for.")
    key(place, "default", place == "number" and "number" or "text", "The value when the option is not given.")
  end
  for _, place in ipairs { "size", "time" } do
    key(place, "about", "text", "Says in a sentence what the parameter is for.")
    key(place, "default", place, "The value when the option is not given.")
  end
  key("number", "min", "number", "The smallest value that is accepted.")
  key("number", "max", "number", "The largest value that is accepted.")
  key("repository", "at", "path", "Where a local repository is shown inside; /source/NAME when left out.")
  key("folder", "at", "path", "Where the directory is shown inside; /source/NAME when left out.")
  word("row", pipeline, "gives", "patch",
    "Brings back the changes of a git work tree as a patch that `git apply` takes.")
  key("patch", "since", "text", "The step after which changes count; the first step when left out.")
  key("step", "run", "run",
    "The command as a list of arguments; `$name` stands for a parameter, `$$` for a dollar sign.")
  key("step", "do", "function",
    "A Lua function (box, given) that runs commands with box:exec, in place of `run`.")
  key("step", "env", "env", "Environment variables added to the policy's; `$name` stands for a parameter.")
  key("step", "cwd", "path", "The directory where the command starts.", { default = "/workspace" })
  key("step", "network", "step network", [[Narrows the network of the step: "none" or { only { names } }.]])
  key("step", "time", "time", "How long the step may run, at most the policy's time.",
    { min = 1, max = 366 * 86400 })
  key("step", "retry", "count", "How often a failed step is tried again.", { min = 0, max = 100, default = 0 })
  key("step", "secrets", "names",
    "Names of the caller's environment variables that the step is given and records never show.")
  key("step", "allow_failure", "flag", "Goes on to the next step even when this one fails.")
  key("step", "limits", "step limits", "Limits of the step; each at most what the policy gives.")
  for _, row in ipairs {
    { "pipeline", "services" }, { "step", "cache" }, { "step", "attempts" }, { "step", "service" },
    { "policy", "isolation" }, { "policy", "root" },
  } do
    key(row[1], row[2], "later", "A word that is kept for a later version.", { later = true })
  end
end
