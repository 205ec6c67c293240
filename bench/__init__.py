"""What Komeet costs on top of a call, measured beside nginx doing the same in the same run.

Absolute figures say more about the machine than about the gateway: quote the ratios.
"""
