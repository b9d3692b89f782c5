-- expect: internal-address.lua:2: "169.254.169.254" is internal; only allow_internal { …, why = … } opens it
return policy "x" { network = { allow { "169.254.169.254:80" } } }
