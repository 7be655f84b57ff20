//! [`EventType`]: the names of events in Box's documentation, and any other name that Box sends.
//!
//! The macro `event_types!` declares a variant for each documented name, with the conversions to
//! and from text. A name that is not in the list is kept as [`EventType::Other`] and never
//! rejected.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! event_types {
    ($($variant:ident = $name:literal,)*) => {
        /// The type of an [`Event`](super::Event), from its field `event_type`.
        ///
        /// The variants are the names in [Box's description of events][box], and older names that
        /// enterprise logs still contain. Box adds names without notice. A name without a variant
        /// is kept in [`Other`](Self::Other).
        ///
        /// A name that is `Other` today may become a variant in a later version of this crate. To
        /// match such a name, compare [`as_str`](Self::as_str), which stays the same.
        ///
        /// ```
        /// use box_longpoll::EventType;
        ///
        /// assert_eq!(EventType::from("ITEM_UPLOAD"), EventType::ItemUpload);
        /// assert_eq!(EventType::ItemUpload.to_string(), "ITEM_UPLOAD");
        /// assert_eq!(EventType::from("ITEM_FOLDED").as_str(), "ITEM_FOLDED");
        /// ```
        ///
        /// [box]: https://developer.box.com/reference/resources/event/
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
        #[serde(from = "String")]
        #[non_exhaustive]
        pub enum EventType {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )*
            /// A name that this version does not know. Conversions never produce it for a name that
            /// has a variant.
            Other(String),
        }

        impl EventType {
            /// All names that this version knows, in alphabetical order.
            pub const DOCUMENTED: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name as Box writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            fn documented(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

impl From<&str> for EventType {
    fn from(name: &str) -> Self {
        Self::documented(name).unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl From<String> for EventType {
    fn from(name: String) -> Self {
        Self::documented(&name).unwrap_or(Self::Other(name))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

event_types! {
    AccessGranted = "ACCESS_GRANTED",
    AccessRevoked = "ACCESS_REVOKED",
    AddDeviceAssociation = "ADD_DEVICE_ASSOCIATION",
    AddLoginActivityDevice = "ADD_LOGIN_ACTIVITY_DEVICE",
    AdminLogin = "ADMIN_LOGIN",
    AdvancedFolderSettingsUpdate = "ADVANCED_FOLDER_SETTINGS_UPDATE",
    AiSecurityDetection = "AI_SECURITY_DETECTION",
    AnnotationV2Create = "ANNOTATIONV2_CREATE",
    AnnotationV2Delete = "ANNOTATIONV2_DELETE",
    AnnotationV2Edit = "ANNOTATIONV2_EDIT",
    ApplicationCreated = "APPLICATION_CREATED",
    ApplicationPublicKeyAdded = "APPLICATION_PUBLIC_KEY_ADDED",
    ApplicationPublicKeyDeleted = "APPLICATION_PUBLIC_KEY_DELETED",
    BoxAiUserFailedRequest = "BOX_AI_USER_FAILED_REQUEST",
    BoxAiUserRequest = "BOX_AI_USER_REQUEST",
    ChangeAdminRole = "CHANGE_ADMIN_ROLE",
    ChangeFolderPermission = "CHANGE_FOLDER_PERMISSION",
    CollaborationAccept = "COLLABORATION_ACCEPT",
    CollaborationExpiration = "COLLABORATION_EXPIRATION",
    CollaborationInvite = "COLLABORATION_INVITE",
    CollaborationRemove = "COLLABORATION_REMOVE",
    CollaborationRoleChange = "COLLABORATION_ROLE_CHANGE",
    CollabAddCollaborator = "COLLAB_ADD_COLLABORATOR",
    CollabInviteCollaborator = "COLLAB_INVITE_COLLABORATOR",
    CollabRemoveCollaborator = "COLLAB_REMOVE_COLLABORATOR",
    CollabRoleChange = "COLLAB_ROLE_CHANGE",
    CollectionCreate = "COLLECTION_CREATE",
    CollectionDelete = "COLLECTION_DELETE",
    CollectionItemCreate = "COLLECTION_ITEM_CREATE",
    CollectionItemDelete = "COLLECTION_ITEM_DELETE",
    CollectionItemUpdate = "COLLECTION_ITEM_UPDATE",
    CollectionUpdate = "COLLECTION_UPDATE",
    CommentCreate = "COMMENT_CREATE",
    CommentDelete = "COMMENT_DELETE",
    CommentEdit = "COMMENT_EDIT",
    ContentAccess = "CONTENT_ACCESS",
    ContentRecoveryReportCreate = "CONTENT_RECOVERY_REPORT_CREATE",
    ContentRecoveryReportDelete = "CONTENT_RECOVERY_REPORT_DELETE",
    ContentRecoveryReportInitiate = "CONTENT_RECOVERY_REPORT_INITIATE",
    ContentWorkflowAbnormalDownloadActivity = "CONTENT_WORKFLOW_ABNORMAL_DOWNLOAD_ACTIVITY",
    ContentWorkflowAutomationAdd = "CONTENT_WORKFLOW_AUTOMATION_ADD",
    ContentWorkflowAutomationDelete = "CONTENT_WORKFLOW_AUTOMATION_DELETE",
    ContentWorkflowPolicyAdd = "CONTENT_WORKFLOW_POLICY_ADD",
    ContentWorkflowSharingPolicyViolation = "CONTENT_WORKFLOW_SHARING_POLICY_VIOLATION",
    ContentWorkflowUploadPolicyViolation = "CONTENT_WORKFLOW_UPLOAD_POLICY_VIOLATION",
    Copy = "COPY",
    DataRetentionCreateRetention = "DATA_RETENTION_CREATE_RETENTION",
    DataRetentionRemoveRetention = "DATA_RETENTION_REMOVE_RETENTION",
    Delete = "DELETE",
    DeleteUser = "DELETE_USER",
    DeviceTrustCheckFailed = "DEVICE_TRUST_CHECK_FAILED",
    DisableMultiFactorAuth = "DISABLE_MULTI_FACTOR_AUTH",
    Download = "DOWNLOAD",
    Edit = "EDIT",
    EditUser = "EDIT_USER",
    EdrCrowdstrikeAccessAllowedNoCrowdstrikeDevice = "EDR_CROWDSTRIKE_ACCESS_ALLOWED_NO_CROWDSTRIKE_DEVICE",
    EdrCrowdstrikeAccessRevoked = "EDR_CROWDSTRIKE_ACCESS_REVOKED",
    EdrCrowdstrikeBoxToolsOutdated = "EDR_CROWDSTRIKE_BOX_TOOLS_OUTDATED",
    EdrCrowdstrikeDeviceDetected = "EDR_CROWDSTRIKE_DEVICE_DETECTED",
    EdrCrowdstrikeDriveOutdated = "EDR_CROWDSTRIKE_DRIVE_OUTDATED",
    EdrCrowdstrikeNoBoxTools = "EDR_CROWDSTRIKE_NO_BOX_TOOLS",
    EmailAliasConfirm = "EMAIL_ALIAS_CONFIRM",
    EmailAliasPrimary = "EMAIL_ALIAS_PRIMARY",
    EmailAliasRemove = "EMAIL_ALIAS_REMOVE",
    EmailUploadDisabled = "EMAIL_UPLOAD_DISABLED",
    EmailUploadEnabled = "EMAIL_UPLOAD_ENABLED",
    EnableMultiFactorAuth = "ENABLE_MULTI_FACTOR_AUTH",
    EnableTwoFactorAuth = "ENABLE_TWO_FACTOR_AUTH",
    EnterpriseAppAuthorizationUpdate = "ENTERPRISE_APP_AUTHORIZATION_UPDATE",
    ExternalCollabSecuritySettings = "EXTERNAL_COLLAB_SECURITY_SETTINGS",
    FailedLogin = "FAILED_LOGIN",
    Favorite = "FAVORITE",
    FileMarkedMalicious = "FILE_MARKED_MALICIOUS",
    FileRequestCreate = "FILE_REQUEST_CREATE",
    FileRequestDelete = "FILE_REQUEST_DELETE",
    FileRequestUpdate = "FILE_REQUEST_UPDATE",
    FileVersionRestore = "FILE_VERSION_RESTORE",
    FileWatermarkedDownload = "FILE_WATERMARKED_DOWNLOAD",
    GroupAddFile = "GROUP_ADD_FILE",
    GroupAddFolder = "GROUP_ADD_FOLDER",
    GroupAddItem = "GROUP_ADD_ITEM",
    GroupAddUser = "GROUP_ADD_USER",
    GroupAdminCreated = "GROUP_ADMIN_CREATED",
    GroupAdminDeleted = "GROUP_ADMIN_DELETED",
    GroupAdminPermissionsUpdated = "GROUP_ADMIN_PERMISSIONS_UPDATED",
    GroupCreation = "GROUP_CREATION",
    GroupDeletion = "GROUP_DELETION",
    GroupEdited = "GROUP_EDITED",
    GroupRemoveFile = "GROUP_REMOVE_FILE",
    GroupRemoveFolder = "GROUP_REMOVE_FOLDER",
    GroupRemoveItem = "GROUP_REMOVE_ITEM",
    GroupRemoveUser = "GROUP_REMOVE_USER",
    IllegalItemOwnershipTransferByUser = "ILLEGAL_ITEM_OWNERSHIP_TRANSFER_BY_USER",
    ItemAssociationCreated = "ITEM_ASSOCIATION_CREATED",
    ItemAssociationDeleted = "ITEM_ASSOCIATION_DELETED",
    ItemAssociationUpdated = "ITEM_ASSOCIATION_UPDATED",
    ItemCopy = "ITEM_COPY",
    ItemCreate = "ITEM_CREATE",
    ItemDownload = "ITEM_DOWNLOAD",
    ItemEmailSend = "ITEM_EMAIL_SEND",
    ItemMakeCurrentVersion = "ITEM_MAKE_CURRENT_VERSION",
    ItemModify = "ITEM_MODIFY",
    ItemMove = "ITEM_MOVE",
    ItemOpen = "ITEM_OPEN",
    ItemPreview = "ITEM_PREVIEW",
    ItemRename = "ITEM_RENAME",
    ItemShared = "ITEM_SHARED",
    ItemSharedCreate = "ITEM_SHARED_CREATE",
    ItemSharedUnshare = "ITEM_SHARED_UNSHARE",
    ItemSharedUpdate = "ITEM_SHARED_UPDATE",
    ItemSync = "ITEM_SYNC",
    ItemTrash = "ITEM_TRASH",
    ItemUndeleteViaTrash = "ITEM_UNDELETE_VIA_TRASH",
    ItemUnsync = "ITEM_UNSYNC",
    ItemUpload = "ITEM_UPLOAD",
    LegalHoldAssignmentCreate = "LEGAL_HOLD_ASSIGNMENT_CREATE",
    LegalHoldAssignmentDelete = "LEGAL_HOLD_ASSIGNMENT_DELETE",
    LegalHoldPolicyCreate = "LEGAL_HOLD_POLICY_CREATE",
    LegalHoldPolicyDelete = "LEGAL_HOLD_POLICY_DELETE",
    LegalHoldPolicyUpdate = "LEGAL_HOLD_POLICY_UPDATE",
    Lock = "LOCK",
    LockCreate = "LOCK_CREATE",
    LockDestroy = "LOCK_DESTROY",
    Login = "LOGIN",
    MasterInviteAccept = "MASTER_INVITE_ACCEPT",
    MasterInviteReject = "MASTER_INVITE_REJECT",
    MetadataCascadePolicyApply = "METADATA_CASCADE_POLICY_APPLY",
    MetadataCascadePolicyCreate = "METADATA_CASCADE_POLICY_CREATE",
    MetadataInstanceCopy = "METADATA_INSTANCE_COPY",
    MetadataInstanceCreate = "METADATA_INSTANCE_CREATE",
    MetadataInstanceDelete = "METADATA_INSTANCE_DELETE",
    MetadataInstanceUpdate = "METADATA_INSTANCE_UPDATE",
    MetadataTemplateCreate = "METADATA_TEMPLATE_CREATE",
    MetadataTemplateDelete = "METADATA_TEMPLATE_DELETE",
    MetadataTemplateUpdate = "METADATA_TEMPLATE_UPDATE",
    Move = "MOVE",
    NewUser = "NEW_USER",
    OAuth2AccessTokenRevoke = "OAUTH2_ACCESS_TOKEN_REVOKE",
    OAuth2RefreshTokenRevoke = "OAUTH2_REFRESH_TOKEN_REVOKE",
    Preview = "PREVIEW",
    RemoveDeviceAssociation = "REMOVE_DEVICE_ASSOCIATION",
    RemoveLoginActivityDevice = "REMOVE_LOGIN_ACTIVITY_DEVICE",
    Rename = "RENAME",
    RetentionPolicyAssignmentAdd = "RETENTION_POLICY_ASSIGNMENT_ADD",
    Share = "SHARE",
    SharedLinkRedirectOutOfSharedContext = "SHARED_LINK_REDIRECT_OUT_OF_SHARED_CONTEXT",
    SharedLinkSend = "SHARED_LINK_SEND",
    ShareExpiration = "SHARE_EXPIRATION",
    ShieldAccessPolicyCreated = "SHIELD_ACCESS_POLICY_CREATED",
    ShieldAccessPolicyDeleted = "SHIELD_ACCESS_POLICY_DELETED",
    ShieldAccessPolicyUpdated = "SHIELD_ACCESS_POLICY_UPDATED",
    ShieldAlert = "SHIELD_ALERT",
    ShieldDownloadBlocked = "SHIELD_DOWNLOAD_BLOCKED",
    ShieldExternalCollabAccessBlocked = "SHIELD_EXTERNAL_COLLAB_ACCESS_BLOCKED",
    ShieldExternalCollabAccessBlockedMissingJustification = "SHIELD_EXTERNAL_COLLAB_ACCESS_BLOCKED_MISSING_JUSTIFICATION",
    ShieldExternalCollabInviteBlocked = "SHIELD_EXTERNAL_COLLAB_INVITE_BLOCKED",
    ShieldExternalCollabInviteBlockedMissingJustification = "SHIELD_EXTERNAL_COLLAB_INVITE_BLOCKED_MISSING_JUSTIFICATION",
    ShieldExternalCollabInviteJustified = "SHIELD_EXTERNAL_COLLAB_INVITE_JUSTIFIED",
    ShieldInformationBarrierCollabBlocked = "SHIELD_INFORMATION_BARRIER_COLLAB_BLOCKED",
    ShieldInformationBarrierDisabled = "SHIELD_INFORMATION_BARRIER_DISABLED",
    ShieldInformationBarrierEnabled = "SHIELD_INFORMATION_BARRIER_ENABLED",
    ShieldInformationBarrierGroupAddUserBlocked = "SHIELD_INFORMATION_BARRIER_GROUP_ADD_USER_BLOCKED",
    ShieldInformationBarrierItemCopyBlocked = "SHIELD_INFORMATION_BARRIER_ITEM_COPY_BLOCKED",
    ShieldInformationBarrierItemMoveBlocked = "SHIELD_INFORMATION_BARRIER_ITEM_MOVE_BLOCKED",
    ShieldInformationBarrierItemOwnerTransferBlocked = "SHIELD_INFORMATION_BARRIER_ITEM_OWNER_TRANSFER_BLOCKED",
    ShieldInformationBarrierPending = "SHIELD_INFORMATION_BARRIER_PENDING",
    ShieldInformationBarrierSharedItemAccessBlocked = "SHIELD_INFORMATION_BARRIER_SHARED_ITEM_ACCESS_BLOCKED",
    ShieldJustificationApproval = "SHIELD_JUSTIFICATION_APPROVAL",
    ShieldPreviewBlocked = "SHIELD_PREVIEW_BLOCKED",
    ShieldSharedLinkAccessBlocked = "SHIELD_SHARED_LINK_ACCESS_BLOCKED",
    ShieldSharedLinkStatusRestrictedOnCreate = "SHIELD_SHARED_LINK_STATUS_RESTRICTED_ON_CREATE",
    ShieldSharedLinkStatusRestrictedOnUpdate = "SHIELD_SHARED_LINK_STATUS_RESTRICTED_ON_UPDATE",
    SignerDownloaded = "SIGNER_DOWNLOADED",
    SignerForwarded = "SIGNER_FORWARDED",
    SignDocumentAssigned = "SIGN_DOCUMENT_ASSIGNED",
    SignDocumentCancelled = "SIGN_DOCUMENT_CANCELLED",
    SignDocumentCompleted = "SIGN_DOCUMENT_COMPLETED",
    SignDocumentConverted = "SIGN_DOCUMENT_CONVERTED",
    SignDocumentCreated = "SIGN_DOCUMENT_CREATED",
    SignDocumentDeclined = "SIGN_DOCUMENT_DECLINED",
    SignDocumentExpired = "SIGN_DOCUMENT_EXPIRED",
    SignDocumentSigned = "SIGN_DOCUMENT_SIGNED",
    SignDocumentViewedBySigned = "SIGN_DOCUMENT_VIEWED_BY_SIGNED",
    SignDocumentViewedBySigner = "SIGN_DOCUMENT_VIEWED_BY_SIGNER",
    StorageExpiration = "STORAGE_EXPIRATION",
    TagItemCreate = "TAG_ITEM_CREATE",
    TaskAssignmentComplete = "TASK_ASSIGNMENT_COMPLETE",
    TaskAssignmentCreate = "TASK_ASSIGNMENT_CREATE",
    TaskAssignmentDelete = "TASK_ASSIGNMENT_DELETE",
    TaskAssignmentUpdate = "TASK_ASSIGNMENT_UPDATE",
    TaskCreate = "TASK_CREATE",
    TaskUpdate = "TASK_UPDATE",
    TermsOfServiceAccept = "TERMS_OF_SERVICE_ACCEPT",
    TermsOfServiceAgree = "TERMS_OF_SERVICE_AGREE",
    TermsOfServiceReject = "TERMS_OF_SERVICE_REJECT",
    Undelete = "UNDELETE",
    Unfavorite = "UNFAVORITE",
    Unlock = "UNLOCK",
    Unshare = "UNSHARE",
    UpdateCollaborationExpiration = "UPDATE_COLLABORATION_EXPIRATION",
    UpdateShareExpiration = "UPDATE_SHARE_EXPIRATION",
    Upload = "UPLOAD",
    UserAuthenticateOAuth2AccessTokenCreate = "USER_AUTHENTICATE_OAUTH2_ACCESS_TOKEN_CREATE",
    UserAuthenticateOAuth2TokenRefresh = "USER_AUTHENTICATE_OAUTH2_TOKEN_REFRESH",
    WatermarkLabelCreate = "WATERMARK_LABEL_CREATE",
    WatermarkLabelDelete = "WATERMARK_LABEL_DELETE",
    WorkflowAutomationCreate = "WORKFLOW_AUTOMATION_CREATE",
    WorkflowAutomationDelete = "WORKFLOW_AUTOMATION_DELETE",
    WorkflowAutomationUpdate = "WORKFLOW_AUTOMATION_UPDATE",
}
