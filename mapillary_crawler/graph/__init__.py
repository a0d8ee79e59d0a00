"""The Graph API without a network: what is asked, what answers mean, what rows become."""
