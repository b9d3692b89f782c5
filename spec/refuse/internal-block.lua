-- expect: internal-block.lua:2: "10.0.0.0/8" is a block; allow_internal opens single addresses
return policy "x" { network = { allow_internal { "10.0.0.0/8", why = "everything" } } }
