-- expect: wildcard-of-all.lua:2: "*" would be every name; list names, or write network = "open"
return policy "x" { network = { allow { "*" } } }
