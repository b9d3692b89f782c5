-- expect: wildcard-of-a-suffix.lua:2: "*.co.uk" would be names of anybody, because co.uk is a public suffix; name the domains
return policy "x" { network = { allow { "*.co.uk" } } }
