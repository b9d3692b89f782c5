-- expect: own-state.lua:2: "/var/lib/moonbox/tasks" is in moonbox's own state directory
return policy "x" { files = { bind { "/var/lib/moonbox/tasks", at = "/tasks", mode = "read_write" } } }
