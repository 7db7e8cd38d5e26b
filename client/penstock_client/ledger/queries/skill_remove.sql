-- Let the name $2 of workspace $1 stand for no skill any more; runs of it stay.
delete from penstock.skills where workspace = $1 and name = $2 returning name
