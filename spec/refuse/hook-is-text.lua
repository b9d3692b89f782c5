-- expect: hook-is-text.lua:2: `connect` takes a function, not the text "deny"
return policy "x" { on = { connect = "deny" } }
