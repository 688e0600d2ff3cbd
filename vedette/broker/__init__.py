"""The broker of a node: what it lets whom do, proven and enforced.

==========================  =================================================================
`vedette.broker.grants`      from a site file to what each identity may do
`vedette.broker.folder`      where its files are
`vedette.broker.files`       Mosquitto's configuration, ACL and TLS files
`vedette.broker.handshake`   one bare connection with a momentary certificate
`vedette.broker.revocation`  a revocation that ends sessions
`vedette.broker.delivery`    what is really delivered, to whom
`vedette.broker.refusals`    from the broker's log to the audit log
==========================  =================================================================
"""
