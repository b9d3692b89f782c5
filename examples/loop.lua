-- A step that is a Lua function: it runs commands and decides what follows from what they say.
-- Here: a counter in a file is raised until a check is content, at most --tries times.
--
--   moonbox run examples/loop.lua --tries=5
return pipeline "loop" {
  about  = "Repeats a command until a check passes.",
  policy = "offline",
  needs  = { tries = number { about = "how often at most", default = 5, min = 1, max = 100 } },

  step "work" {
    time = 1 * minutes,
    ["do"] = function (box, given)
      for try = 1, given.tries do
        box:exec { "sh", "-c", "echo working >> notes.txt" }
        local code, lines = box:exec { "grep", "-c", "working", "notes.txt" }
        if code == 0 and tonumber(lines) >= 3 then
          box:exec { "echo", "content after try " .. try }
          return true
        end
      end
      return 1, "not content after " .. given.tries .. " tries"
    end,
  },
}
