-- expect: internal-in-disguise.lua:2: "64:ff9b::a9fe:a9fe" is internal; only allow_internal { …, why = … } opens it
return policy "x" { network = { allow { "64:ff9b::a9fe:a9fe" } } }
