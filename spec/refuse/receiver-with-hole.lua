-- expect: receiver-with-hole.lua:2: a receiver's command has a hole: one of its items is nil
return policy "x" { receivers = { ops = { nil, "/usr/bin/logger" } } }
