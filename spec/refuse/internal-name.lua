-- expect: internal-name.lua:2: "db.corp" is a name; allow_internal takes addresses, and `hosts` gives a name to one
return policy "x" { network = { allow_internal { "db.corp:5432", why = "the database" } } }
