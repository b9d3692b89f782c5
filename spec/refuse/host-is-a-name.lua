-- expect: host-is-a-name.lua:2: "db" is given an address in quotes, not the text "db.example.org"
return policy "x" { network = { hosts = { db = "db.example.org" } } }
