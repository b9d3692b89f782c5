-- expect: root-inside.lua:2: `user` is "agent", not the text "root"
return policy "x" { process = { user = "root" } }
