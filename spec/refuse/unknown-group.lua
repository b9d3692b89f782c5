-- expect: unknown-group.lua:2: there is no group `ecosystem.nmp`; did you mean `npm`?
return policy "x" { network = { allow { ecosystem.nmp } } }
