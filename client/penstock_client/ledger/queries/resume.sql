-- Lift the pause of a scope $2 at a provider $1; returns nothing when there is none.
delete from penstock.pauses where provider = $1 and scope = $2
returning provider
