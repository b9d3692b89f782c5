-- expect: dns-word.lua:2: `dns` is "lazy" or "verify", not the text "verfy"; did you mean `verify`?
return policy "x" { network = { dns = "verfy" } }
