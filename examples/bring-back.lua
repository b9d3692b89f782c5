-- Brings back what a task made: a file, and a patch of the directory since a step.
-- The first step makes what stands for a project; the patch has what the second one changed.
--
--   moonbox run examples/bring-back.lua
return pipeline "bring-back" {
  about  = "Gives a report file and a patch.",
  policy = "offline",

  step "start"  { run = { "sh", "-c", "printf 'one\ntwo\n' > list.txt" } },
  step "change" { run = { "sh", "-c", "printf 'three\n' >> list.txt; wc -l < list.txt > /home/agent/report.txt" } },

  gives = { patch "/workspace", "/home/agent/report.txt" },
}
